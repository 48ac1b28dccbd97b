package mysql

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"oneserver/app"
)

// Take implements app.Throttle. A refusal is rolled back, so that refused attempts, however many, leave no rows, write
// no events to the binary log and never wait for the disk.
func (db *DB) Take(ctx context.Context, buckets ...app.Bucket) (wait time.Duration, err error) {
	if len(buckets) == 0 {
		return 0, nil
	}
	err = db.transaction(ctx, "throttle", true, func(tx *gorm.DB, _ bool) (err error) {
		wait, _, err = take(tx, buckets)
		if err == nil && wait > 0 {
			err = errRefused
		}
		return err
	})
	if errors.Is(err, errRefused) {
		return wait, nil
	}
	return 0, err
}

var errRefused = errors.New("a bucket is full")

// take does the work of Take inside a transaction. If it returns a wait, the transaction must be rolled back, and
// fullest is the bucket with the longest wait. It uses the clock of the database, which all replicas share. All calls
// lock their rows in the same order, after any other rows of the transaction, so they may wait for one another but
// never deadlock.
func take(tx *gorm.DB, buckets []app.Bucket) (wait time.Duration, fullest app.Bucket, err error) {
	limits := make(map[digest]app.Bucket, len(buckets))
	for _, b := range buckets {
		limits[sha256.Sum256([]byte(b.Name))] = b
	}
	digests := slices.SortedFunc(maps.Keys(limits), func(a, b digest) int { return bytes.Compare(a[:], b[:]) })

	// Create the missing rows, and lock all of them. A new row counts nothing, just like a missing one.
	var values []any
	for _, d := range digests {
		values = append(values, d)
	}
	lock := "INSERT INTO throttle (bucket, arrival) VALUES " + list("(?, UTC_TIMESTAMP(6))", len(values)) +
		" ON DUPLICATE KEY UPDATE bucket = throttle.bucket"
	if err := tx.Exec(lock, values...).Error; err != nil {
		return 0, app.Bucket{}, err
	}
	var rows []arrival
	if err := tx.Raw("SELECT bucket, arrival, UTC_TIMESTAMP(6) AS now FROM throttle WHERE bucket IN ? FOR UPDATE", digests).Find(&rows).Error; err != nil {
		return 0, app.Bucket{}, err
	}
	values = nil
	for _, row := range rows {
		next, full := conform(limits[row.Bucket], row.Arrival, row.Now)
		if full > wait {
			wait, fullest = full, limits[row.Bucket]
		}
		values = append(values, row.Bucket, next)
	}
	if wait > 0 {
		return wait, fullest, nil
	}
	count := "INSERT INTO throttle (bucket, arrival) VALUES " + list("(?, ?)", len(rows)) +
		" AS new ON DUPLICATE KEY UPDATE arrival = new.arrival"
	return 0, app.Bucket{}, tx.Exec(count, values...).Error
}

// Return implements app.Throttle. It changes each bucket in a separate statement, so that it holds no lock while it
// waits for another.
func (db *DB) Return(ctx context.Context, buckets ...app.Bucket) error {
	for _, b := range buckets {
		err := db.run(ctx, "throttle", func(tx *gorm.DB) error {
			return tx.Exec("UPDATE throttle SET arrival = arrival - INTERVAL ? MICROSECOND WHERE bucket = ?",
				(b.Interval * time.Duration(max(1, b.Weight))).Microseconds(), digest(sha256.Sum256([]byte(b.Name)))).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// arrival is the theoretical arrival time of a bucket's next attempt, and the database's time.
type arrival struct {
	Bucket       digest
	Arrival, Now time.Time
}

// conform applies the generic cell rate algorithm (ITU-T I.371, virtual scheduling) to an attempt at now: next is the
// theoretical arrival time after it, and wait is how much too early it is, or 0.
func conform(b app.Bucket, arrival, now time.Time) (next time.Time, wait time.Duration) {
	if arrival.Before(now) {
		arrival = now
	}
	next = arrival.Add(time.Duration(min(max(b.Weight, 1), b.Burst)) * b.Interval)
	return next, max(0, next.Add(-time.Duration(b.Burst)*b.Interval).Sub(now))
}

// list repeats item n times, separated by commas.
func list(item string, n int) string {
	return strings.TrimSuffix(strings.Repeat(item+", ", n), ", ")
}
