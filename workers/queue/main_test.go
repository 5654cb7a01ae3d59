package queue_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"onsite/workers/queue"
)

func TestMain(m *testing.M) {
	// A test starts this binary again as a process that owns a private Redis and is then killed.
	if folder := os.Getenv("QUEUE_TEST_OWNER"); folder != "" {
		p, err := queue.StartPrivate(context.Background(), folder, nil)
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(p.PID())
		select {}
	}
	// A pool of go-redis that could not dial looks once more, a second later, whether it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
