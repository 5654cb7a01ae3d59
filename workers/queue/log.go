package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"
)

// asynqLog gives asynq's lines to slog. They hold ids of tasks, nothing else of ours.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) line(level slog.Level, args []any) {
	l.log.Log(context.Background(), level, "asynq: "+fmt.Sprint(args...))
}

func (l asynqLog) Debug(args ...any) { l.line(slog.LevelDebug, args) }
func (l asynqLog) Info(args ...any)  { l.line(slog.LevelDebug, args) }
func (l asynqLog) Warn(args ...any)  { l.line(slog.LevelDebug, args) } // an outage of Redis gives one for every task and second
func (l asynqLog) Error(args ...any) { l.line(slog.LevelWarn, args) }
func (l asynqLog) Fatal(args ...any) { l.line(slog.LevelError, args) } // nobody but main ends the process

// redisLog gives go-redis's lines to slog. It prints every failed dial; what follows from them is said by whoever called.
type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, args ...any) {
	slog.Default().DebugContext(ctx, "redis: "+fmt.Sprintf(format, args...))
}

// quiet puts go-redis's lines into the program's log. The library has one logger for the whole process.
var quiet = sync.OnceFunc(func() { redis.SetLogger(redisLog{}) })
