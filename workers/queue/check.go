package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"onsite/pipeline"
)

// Redis 6.2 is the oldest one that its makers' documents still describe; asynq itself is content with less.
const (
	wantMajor = 6
	wantMinor = 2
)

// Check says whether Redis may be used: a *Problem says what to change, ErrAway that it could not be asked. A Redis that throws keys away
// when it is full breaks asynq's books (a task that is in a list, but has no body, is lost without a word), so it is refused.
func (q *Queue) Check(ctx context.Context) error {
	cluster, ok := q.rdb.(*redis.ClusterClient)
	if !ok {
		return fit(ctx, q.rdb)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return fit(ctx, node) })
}

func fit(ctx context.Context, node redis.Cmdable) error {
	server, err := node.Info(ctx, "server").Result()
	if err != nil {
		return away("ask redis for its version", err)
	}
	// CONFIG GET is closed on hosted ones; INFO says it, too.
	memory, err := node.Info(ctx, "memory").Result()
	if err != nil {
		return away("ask redis for its memory policy", err)
	}
	return fitting(server, memory)
}

// fitting judges what INFO says.
func fitting(server, memory string) error {
	v := field(server, "redis_version")
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil || major < wantMajor || (major == wantMajor && minor < wantMinor) {
		return &Problem{Text: pipeline.Text{
			EN: fmt.Sprintf("Redis has version %q, %d.%d or newer is needed; upgrade the Redis server", v, wantMajor, wantMinor),
			ZH: fmt.Sprintf("Redis 版本为 %q，需要 %d.%d 或更高版本；请升级 Redis 服务器", v, wantMajor, wantMinor),
		}}
	}
	if policy := field(memory, "maxmemory_policy"); policy != "noeviction" {
		return &Problem{Text: pipeline.Text{
			EN: fmt.Sprintf("Redis may throw tasks away when its memory is full (maxmemory-policy is %q); run `redis-cli CONFIG SET maxmemory-policy noeviction` and put `maxmemory-policy noeviction` into redis.conf", policy),
			ZH: fmt.Sprintf("Redis 内存不足时可能丢弃任务（maxmemory-policy 为 %q）；请执行 `redis-cli CONFIG SET maxmemory-policy noeviction`，并在 redis.conf 中写入 `maxmemory-policy noeviction`", policy),
		}}
	}
	return nil
}

// field gives one line of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
