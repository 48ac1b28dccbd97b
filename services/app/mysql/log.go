package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"

	"oneserver/app/timing"
)

// slowQuery is how long a statement, with its wait for a connection, may take before the log names it. At this load a statement by primary key takes
// about a millisecond.
const slowQuery = 200 * time.Millisecond

// queryLogger is GORM's way to our log and to the request's timing. Errors are not logged here: they are returned,
// and logged by who answers the request.
type queryLogger struct{ log *slog.Logger }

func (l queryLogger) LogMode(logger.LogLevel) logger.Interface { return l }

func (l queryLogger) Info(ctx context.Context, format string, args ...any) {
	l.log.InfoContext(ctx, fmt.Sprintf(format, args...))
}

func (l queryLogger) Warn(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, args...))
}

func (l queryLogger) Error(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, fmt.Sprintf(format, args...))
}

// Trace is called after each statement.
func (l queryLogger) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), _ error) {
	took := time.Since(begin)
	timing.AddDatabase(ctx, took)
	if took > slowQuery {
		sql, rows := statement()
		l.log.WarnContext(ctx, "slow statement", "request_id", timing.RequestID(ctx), "sql", sql, "rows", rows, "duration_ms", timing.Milliseconds(took))
	}
}

// ParamsFilter keeps values, which may be a person's data, out of the log: a statement is shown with its placeholders.
func (l queryLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}
