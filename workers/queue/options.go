package queue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"onsite/pipeline"
)

// ErrAway is what errors are when Redis did not take or answer a command: it is down, loading, full, or a replica now. Try again.
var ErrAway = errors.New("redis cannot be reached")

// Problem is an error that a person has to solve, with the words for it: wrong options, a Redis that may lose tasks on its own, no
// redis-server.
type Problem struct {
	Text pipeline.Text
	Err  error // may be nil
}

func (p *Problem) Error() string { return p.Text.EN }

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Sentinel says where the sentinels of a Redis with fail-over are.
type Sentinel struct {
	Master   string   // name of the watched master
	Addrs    []string // host:port of the sentinels
	Username string
	Password string
}

// Options say where Redis is: exactly one of URL, Sentinel and Cluster. They hold secrets and are never printed.
type Options struct {
	URL      string   // redis://[user:password@]host:port[/db], rediss://... for TLS, unix:///path/redis.sock[?db=n]
	Sentinel Sentinel // with a Master: Redis with fail-over
	Cluster  []string // host:port of some nodes of a Redis Cluster
	Username string   // for Sentinel and Cluster, or where the URL has none
	Password string
	DB       int         // for Sentinel; a URL names its own
	TLS      *tls.Config // for Sentinel and Cluster, or to give a rediss URL another root of trust

	Timeout     time.Duration // of one command and of one dial; 2 s
	TaskTimeout time.Duration // after which asynq takes a task for lost; 10 min. The attempt's own deadline is kept by the worker
	TaskTTL     time.Duration // after which a task that nobody took is worthless; 24 h
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.TaskTimeout < time.Second { // asynq counts in seconds, and none would be no limit
		o.TaskTimeout = 10 * time.Minute
	}
	if o.TaskTTL < time.Second {
		o.TaskTTL = 24 * time.Hour
	}
	return o
}

// Validate says what is wrong with the options, never with a password in it.
func (o Options) Validate() error {
	_, err := o.maker()
	return err
}

// MakeRedisClient makes the options an asynq.RedisConnOpt, for tools that inspect the queues. Options must be valid.
func (o Options) MakeRedisClient() any {
	c, err := o.client(0)
	if err != nil {
		panic(err) // asynq's interface has no room for it; Validate says it first
	}
	return c
}

// client makes a client of its own pool: a size of 0 is the library's choice.
func (o Options) client(pool int) (redis.UniversalClient, error) {
	build, err := o.maker()
	if err != nil {
		return nil, err
	}
	return build(pool), nil
}

// maker checks the options and gives what makes clients of them. Retries are few: whoever calls tries again by itself, and must not hang
// on a Redis that is away.
func (o Options) maker() (func(pool int) redis.UniversalClient, error) {
	o = o.withDefaults()
	ways := 0
	for _, given := range []bool{o.URL != "", o.Sentinel.Master != "" || len(o.Sentinel.Addrs) > 0, len(o.Cluster) > 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return nil, &Problem{Text: pipeline.Text{EN: "no Redis is configured; give a URL, sentinels or the nodes of a cluster", ZH: "未配置 Redis；请提供 URL、Sentinel 或集群节点"}}
	case ways > 1:
		return nil, &Problem{Text: pipeline.Text{EN: "Redis is configured in several ways; give only one of URL, sentinels and cluster nodes", ZH: "Redis 配置重复；URL、Sentinel、集群节点只能选择其一"}}
	case o.URL != "":
		return o.plain()
	case len(o.Cluster) > 0:
		return o.cluster(), nil
	}
	if o.Sentinel.Master == "" || len(o.Sentinel.Addrs) == 0 {
		return nil, &Problem{Text: pipeline.Text{EN: "Redis Sentinel needs the master's name and the address of at least one sentinel", ZH: "Redis Sentinel 需要主节点名称和至少一个 Sentinel 地址"}}
	}
	return o.sentinel(), nil
}

func (o Options) plain() (func(int) redis.UniversalClient, error) {
	r, err := redis.ParseURL(o.URL)
	if err == nil && r.Network == "tcp" && r.Addr == "" {
		err = errors.New("it names no host")
	}
	if err != nil {
		what := mask(o.URL)
		return nil, &Problem{
			Text: pipeline.Text{
				EN: fmt.Sprintf("the Redis URL %s cannot be used; give redis://host:port/db, rediss://host:port/db or unix:///path/redis.sock", what),
				ZH: fmt.Sprintf("无法使用 Redis URL %s；请使用 redis://host:port/db、rediss://host:port/db 或 unix:///path/redis.sock", what),
			},
		} // the parser's own error would repeat the URL with its password
	}
	if r.Username == "" && r.Password == "" {
		r.Username, r.Password = o.Username, o.Password
	}
	if o.TLS != nil && r.TLSConfig != nil {
		host := r.TLSConfig.ServerName
		r.TLSConfig = o.TLS.Clone()
		if r.TLSConfig.ServerName == "" {
			r.TLSConfig.ServerName = host
		}
	}
	r.DialTimeout, r.ReadTimeout, r.WriteTimeout, r.PoolTimeout = o.Timeout, o.Timeout, o.Timeout, 2*o.Timeout
	r.MaxRetries, r.DialerRetries, r.ContextTimeoutEnabled = 1, 1, true
	r.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return func(pool int) redis.UniversalClient {
		own := *r
		own.PoolSize = pool
		return redis.NewClient(&own)
	}, nil
}

func (o Options) cluster() func(int) redis.UniversalClient {
	return func(pool int) redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Cluster, Username: o.Username, Password: o.Password, TLSConfig: o.TLS, PoolSize: pool,
			DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: 2 * o.Timeout,
			DialerRetries: 1, ContextTimeoutEnabled: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
	}
}

func (o Options) sentinel() func(int) redis.UniversalClient {
	return func(pool int) redis.UniversalClient {
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: o.Sentinel.Master, SentinelAddrs: o.Sentinel.Addrs, SentinelUsername: o.Sentinel.Username, SentinelPassword: o.Sentinel.Password,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLS, PoolSize: pool,
			DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: 2 * o.Timeout,
			MaxRetries: 1, DialerRetries: 1, ContextTimeoutEnabled: true,
		})
	}
}

// mask gives a URL without its password and query, for messages.
func mask(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return "(not shown)" // who knows what it is
	}
	if u.User != nil {
		u.User = url.User("...")
	}
	u.RawQuery = ""
	return u.String()
}
