package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"onsite/results"
)

// Queue writes tasks and looks at them. It is made once by Open and used from many goroutines.
type Queue struct {
	opts   Options
	rdb    redis.UniversalClient
	client *asynq.Client
	inspec *asynq.Inspector
	log    *slog.Logger
}

// Open makes a queue. It does not talk to Redis yet: that it is away is no reason not to start; that it is unfit (see Check) is one.
func Open(o Options, log *slog.Logger) (*Queue, error) {
	o = o.withDefaults()
	rdb, err := o.client(0)
	if err != nil {
		return nil, err
	}
	quiet()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Queue{opts: o, rdb: rdb, client: asynq.NewClientFromRedisClient(rdb), inspec: asynq.NewInspectorFromRedisClient(rdb), log: log}, nil
}

// Close closes the connections. Servers and bells made from the queue have connections of their own and are closed first.
func (q *Queue) Close() error { return q.rdb.Close() }

// Ping says whether Redis answers.
func (q *Queue) Ping(ctx context.Context) error { return away("ping redis", q.rdb.Ping(ctx).Err()) }

// writers is how many tasks are written at once: asynq writes one a round trip.
const writers = 16

// Enqueue writes the tasks of queued jobs. Those that may not have been written are given back with the first error; a task that is
// there already is as good as written.
func (q *Queue) Enqueue(ctx context.Context, jobs []results.Job) (lost []results.Job, err error) {
	group, ctx := errgroup.WithContext(ctx) // after one failure the others would only wait for the same time-out
	group.SetLimit(writers)
	missed := make([]bool, len(jobs))
	for i, j := range jobs {
		group.Go(func() error {
			err := q.enqueue(ctx, j)
			missed[i] = err != nil
			return err
		})
	}
	err = group.Wait()
	for i, m := range missed {
		if m {
			lost = append(lost, jobs[i])
		}
	}
	return lost, err
}

func (q *Queue) enqueue(ctx context.Context, j results.Job) error {
	var headers map[string]string
	if j.TraceParent != "" {
		headers = map[string]string{traceHeader: j.TraceParent}
	}
	task := asynq.NewTaskWithHeaders(TaskType, Task{Job: j.ID, Attempt: j.Attempt}.Encode(), headers)
	_, err := q.client.EnqueueContext(ctx, task,
		asynq.Queue(Name(j)),
		asynq.TaskID(ID(j.ID, j.Attempt)),
		asynq.MaxRetry(0), // retries, backoff and dead letters are in the store
		asynq.Timeout(q.opts.TaskTimeout),
		asynq.Deadline(time.Now().Add(q.opts.TaskTTL)),
		asynq.Retention(0))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return away("write the task of job "+j.ID, err)
}

// away marks an error as Redis's. Whatever it was, a broken connection, OOM, READONLY or LOADING, the answer is to try again.
func away(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", what, ErrAway, err)
}

// State is where a task is in Redis.
type State string

// The states of a task that matter here. asynq knows others (scheduled, retry, completed) that our options never lead to.
const (
	Missing  State = ""         // Redis has no such task, or nothing that could ever be taken
	Waiting  State = "pending"  // waits to be taken
	Active   State = "active"   // a worker took it, and may be dead
	Archived State = "archived" // asynq gave it up: nobody will take it
)

// States says where the tasks of these jobs' attempts are, all in one round trip.
//
// It reads asynq's own keys. The Inspector would ask for one task at a time, and after a FLUSHALL it denies every task: the client that
// writes tasks remembers that it registered their queue and does not do so again. A test holds this against the Inspector.
func (q *Queue) States(ctx context.Context, jobs []results.Job) ([]State, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	pipe := q.rdb.Pipeline()
	asked := make([]*redis.StringCmd, len(jobs))
	for i, j := range jobs {
		asked[i] = pipe.HGet(ctx, prefix(Name(j))+"t:"+ID(j.ID, j.Attempt), "state")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, away("look for tasks", err)
	}
	states := make([]State, 0, len(jobs))
	for _, cmd := range asked {
		s, err := cmd.Result() // empty with redis.Nil: Missing
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, away("look for tasks", err) // one node of a cluster
		}
		states = append(states, State(s))
	}
	return states, nil
}

// Exists says whether the task of a job's attempt waits in Redis or was taken from it.
func (q *Queue) Exists(ctx context.Context, j results.Job) (bool, error) {
	s, err := q.States(ctx, []results.Job{j})
	if err != nil {
		return false, err
	}
	return s[0] == Waiting || s[0] == Active, nil
}

// Depth says how many tasks wait in each queue. It also registers the queues again, which a flush forgets, so that tools see them.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	pipe := q.rdb.Pipeline()
	asked := map[string]*redis.IntCmd{}
	for _, one := range queues {
		pipe.SAdd(ctx, "asynq:queues", one.name)
		asked[one.name] = pipe.LLen(ctx, prefix(one.name)+"pending")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away("count tasks", err)
	}
	depth := Depth{}
	for name, cmd := range asked {
		depth[name] = int(cmd.Val())
	}
	return depth, nil
}

// Concurrency says how many jobs all living workers run at once, as they told Redis in the last seconds.
func (q *Queue) Concurrency() (int, error) {
	servers, err := q.inspec.Servers()
	if err != nil {
		return 0, away("list workers", err)
	}
	total := 0
	for _, s := range servers {
		total += s.Concurrency
	}
	return total, nil
}

// Tidy deletes the tasks that asynq gave up, and says how many: their jobs are in the store, and would else lie in Redis for 90 days.
func (q *Queue) Tidy(ctx context.Context) (int, error) {
	if _, err := q.Depth(ctx); err != nil { // the inspector knows registered queues only
		return 0, err
	}
	deleted := 0
	for _, one := range queues {
		if err := ctx.Err(); err != nil {
			return deleted, err
		}
		n, err := q.inspec.DeleteAllArchivedTasks(one.name)
		if err != nil {
			return deleted, away("delete archived tasks", err)
		}
		deleted += n
	}
	return deleted, nil
}

// prefix is what asynq's keys of a queue begin with; the braces keep them on one node of a cluster.
func prefix(queue string) string { return "asynq:{" + queue + "}:" }
