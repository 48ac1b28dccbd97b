package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"

	"oneserver/app/timing"
)

// queryLogger connects GORM to our log and to the request's timing. Errors are not logged here: they are returned, and
// the code that answers the request logs them.
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

// Trace is called after each statement. Its time includes the wait for a connection.
func (l queryLogger) Trace(ctx context.Context, begin time.Time, _ func() (sql string, rows int64), _ error) {
	timing.AddDatabase(ctx, time.Since(begin))
}
