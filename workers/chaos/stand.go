package chaos

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/object/objecttest/minio"
	"onsite/results/storetest/postgres"
	"onsite/results/vault"
	"onsite/workers/queue"
)

// Kinds of store.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// the one tenant and site of a run, and its subjects.
const (
	tenant   = "chaos"
	site     = "store-17"
	subjects = 20
)

// stand is everything that a run starts: on SQLite one `onsite serve`, which has its own Redis; on PostgreSQL the database, Redis, two
// API and two worker processes.
type stand struct {
	dir     string
	kind    string
	opts    Options
	pg      *postgres.Server
	redis   *queue.Private
	cables  *cables       // nil: everything on this machine
	far     *process      // Redis where workers have hosts of their own: on the network instead of a socket
	minio   *minio.Server // nil: objects lie in a folder
	rdb     *redis.Client
	apis    []*process
	workers []*process // on SQLite the same process as the API
	bases   []string   // URLs of the APIs
	store   results.Store
	objects object.Store
	vault   *vault.Vault
	clock   string // file with the jump that processes add to their clocks
	key     string // API key with every role
	client  *http.Client

	smallDisk   bool       // the object folder is a small file system of its own
	objectsBusy sync.Mutex // one fault of the object folder at a time
	watching    sync.WaitGroup
	mu          sync.Mutex
	recovery    []time.Duration
	doubled     int         // idempotency keys that gave two jobs
	answers     map[int]int // other answers than 202, by status
}

// env is what all processes get.
func (s *stand) env() []string {
	env := []string{
		"ONSITE_MEASURE=true", "ONSITE_WORKER_CORE=" + s.opts.Core, "ONSITE_LOG_LEVEL=info", "ONSITE_LOG_FORMAT=json",
		"ONSITE_KEK_FILE=" + filepath.Join(s.dir, "kek"),
		"ONSITE_API_MAX_WAITING=1000000", "ONSITE_CHAOS_CLOCK=" + s.clock,
		"ONSITE_WORKER_NOOP_WAIT=" + s.opts.Wait.String(), fmt.Sprintf("ONSITE_CHAOS_KILL=%g", s.opts.Kill), fmt.Sprintf("ONSITE_WORKER_CONCURRENCY=%d", s.opts.AtOnce),
	}
	if s.minio == nil {
		return append(env, "ONSITE_OBJECTS_DIR="+s.objectsDir())
	}
	return append(env, "ONSITE_OBJECTS_S3_ENDPOINT="+s.minio.Endpoint, "ONSITE_OBJECTS_S3_BUCKET="+objectBucket,
		"ONSITE_OBJECTS_S3_ACCESS_KEY="+s.minio.AccessKey, "ONSITE_OBJECTS_S3_SECRET_KEY="+s.minio.SecretKey)
}

// objectBucket is the bucket for sealed objects, where the objects lie in MinIO.
const objectBucket = "onsite"

// startMinIO starts a real MinIO with an empty bucket.
func (s *stand) startMinIO(ctx context.Context) error {
	o := minio.Options{Dir: filepath.Join(s.dir, "minio")}
	if s.cables != nil {
		o.Address = s.cables.machine.Addr().String() + ":9000"
	}
	server, err := minio.Start(ctx, o)
	if err != nil {
		return err
	}
	s.minio = server
	client, err := server.Client()
	if err != nil {
		return err
	}
	if err := client.MakeBucket(ctx, objectBucket, miniogo.MakeBucketOptions{}); err != nil {
		return fmt.Errorf("make the bucket: %w", err)
	}
	return nil
}

// openObjects looks into the objects beside the processes.
func (s *stand) openObjects() (object.Store, error) {
	if s.minio == nil {
		return object.NewFolder(s.objectsDir())
	}
	return object.NewS3(object.S3Config{Endpoint: s.minio.Endpoint, Bucket: objectBucket, AccessKey: s.minio.AccessKey, SecretKey: s.minio.SecretKey})
}

func (s *stand) objectsDir() string { return filepath.Join(s.dir, "objects") }

// newStand starts everything and waits until it is ready.
func newStand(ctx context.Context, o Options) (s *stand, err error) {
	s = &stand{
		dir: o.Dir, kind: o.Store, opts: o, clock: filepath.Join(o.Dir, "clock"), answers: map[int]int{},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.WriteFile(s.clock, []byte("0s"), 0o600); err != nil {
		return s, fmt.Errorf("write the clock file: %w", err)
	}
	if err := os.MkdirAll(s.objectsDir(), 0o700); err != nil {
		return s, fmt.Errorf("make the object folder: %w", err)
	}
	if o.Network.Hosts > 0 {
		if s.cables, err = o.Network.lay(ctx); err != nil {
			return s, err
		}
	}
	if o.S3 {
		if err := s.startMinIO(ctx); err != nil {
			return s, err
		}
	} else {
		s.mountSmall()
	}
	if s.kind == Postgres {
		err = s.many(ctx)
	} else {
		err = s.one(ctx)
	}
	if err != nil {
		return s, err
	}
	return s, s.fill(ctx)
}

// many starts the parts on their own.
func (s *stand) many(ctx context.Context) error {
	var err error
	po := postgres.Options{Fsync: true, Settings: map[string]string{"max_connections": strconv.Itoa(maxConnections)}}
	if s.cables != nil {
		po.Network = s.cables.machine
	}
	if s.pg, err = postgres.Run(ctx, po); err != nil {
		return err
	}
	dsn, err := s.pg.Create(ctx)
	if err != nil {
		return err
	}
	queueURL, err := s.startRedis(ctx)
	if err != nil {
		return err
	}
	env := append(s.env(), "ONSITE_STORE_POSTGRES="+dsn, "ONSITE_REDIS_URL="+queueURL)
	if err := s.open(ctx, database.Options{Postgres: dsn, Logger: s.opts.Logger}, queueURL); err != nil {
		return err
	}
	for n := range s.opts.APIs {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		p := s.child(fmt.Sprintf("api%d", n), []string{"api"}, slices.Concat(env, []string{"ONSITE_API_LISTEN=" + address}))
		s.apis, s.bases = append(s.apis, p), append(s.bases, "http://"+address)
	}
	for n := range s.opts.Workers {
		name := fmt.Sprintf("worker%d", n)
		own := []string{"ONSITE_WORKER_NAME=" + name, "ONSITE_STORE_CONNECTIONS=" + strconv.Itoa(s.connections())}
		if s.opts.Threads > 0 {
			own = append(own, "GOMAXPROCS="+strconv.Itoa(s.opts.Threads))
		}
		p := s.child(name, []string{"worker"}, slices.Concat(env, own))
		if s.cables != nil {
			p.path, p.args = s.cables.on(n, p.path, p.args)
		}
		s.workers = append(s.workers, p)
	}
	return s.startAll(ctx)
}

// startRedis starts Redis and gives its address: a socket, or a port of the network that the workers' hosts are on.
func (s *stand) startRedis(ctx context.Context) (string, error) {
	dir := filepath.Join(s.dir, "redis")
	if s.cables == nil {
		var err error
		if s.redis, err = queue.StartPrivate(ctx, dir, s.opts.Logger); err != nil {
			return "", err
		}
		return s.redis.Options().URL, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of Redis: %w", err)
	}
	address, password := s.cables.machine.Addr().String(), rand.Text()
	s.far = &process{name: "redis", path: "redis-server", log: filepath.Join(s.dir, "redis.log"), args: []string{
		"--bind", address, "--port", "6379", "--requirepass", password, "--dir", dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
	}}
	if err := s.far.start(); err != nil {
		return "", err
	}
	at := fmt.Sprintf("redis://:%s@%s:6379/0", password, address)
	o, err := redis.ParseURL(at)
	if err != nil {
		return "", fmt.Errorf("address of Redis: %w", err)
	}
	client := redis.NewClient(o)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := until(ctx, "Redis answers", func() bool { return client.Ping(ctx).Err() == nil }); err != nil {
		return "", fmt.Errorf("%w; its log ends:\n%s", err, s.far.tail())
	}
	return at, nil
}

// one starts the all-in-one process.
func (s *stand) one(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	p := s.child("serve", []string{"serve", "--data", data}, append(s.env(), "ONSITE_API_LISTEN="+address))
	s.apis, s.workers, s.bases = []*process{p}, []*process{p}, []string{"http://" + address}
	if err := s.startAll(ctx); err != nil {
		return err
	}
	return s.open(ctx, database.Options{SQLite: filepath.Join(data, "onsite.db"), Logger: s.opts.Logger}, "unix://"+filepath.Join(data, "redis", "redis.sock"))
}

// maxConnections is what the stand's PostgreSQL takes.
const maxConnections = 200

// connections is how many a worker may open: all together leave room for the APIs and the stand itself.
func (s *stand) connections() int {
	return min(16, max(2, (maxConnections-16*s.opts.APIs-20)/max(1, s.opts.Workers)))
}

func (s *stand) child(name string, args, env []string) *process {
	return &process{name: name, path: s.opts.Binary, args: args, env: env, log: filepath.Join(s.dir, name+".log")}
}

func (s *stand) startAll(ctx context.Context) error {
	for _, p := range s.processes() {
		if err := p.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for n, base := range s.bases {
		api := s.apis[n]
		err := until(ctx, api.name+" is ready", func() bool { return s.ready(ctx, base) || api.misconfigured() })
		if err == nil && api.misconfigured() {
			err = fmt.Errorf("%s does not accept how it is started", api.name)
		}
		if err != nil {
			return fmt.Errorf("%w; its log ends:\n%s", err, api.tail())
		}
	}
	return nil
}

func (s *stand) ready(ctx context.Context, base string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// open looks into the store, the objects and Redis beside the processes.
func (s *stand) open(ctx context.Context, o database.Options, redisURL string) error {
	db, err := database.Open(ctx, o)
	if err != nil {
		return err
	}
	s.store = db
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	kek, err := vault.NewKEK(filepath.Join(s.dir, "kek"))
	if errors.Is(err, os.ErrExist) {
		kek, err = vault.LoadKEK(filepath.Join(s.dir, "kek"))
	}
	if err != nil {
		return err
	}
	if s.objects, err = s.openObjects(); err != nil {
		return err
	}
	s.vault = vault.New(s.store, s.objects, kek)
	ro, err := redis.ParseURL(redisURL)
	if err != nil {
		return fmt.Errorf("address of Redis: %w", err)
	}
	ro.MaxRetries = -1
	s.rdb = redis.NewClient(ro)
	return nil
}

// fill makes the tenant, a key, a site and the subjects.
func (s *stand) fill(ctx context.Context) error {
	now := s.store.Now()
	if err := s.store.CreateTenant(ctx, results.Tenant{ID: tenant, Name: tenant, CreatedAt: now}); err != nil {
		return err
	}
	text, key, err := s.opts.NewKey(tenant, "harness", results.Roles, now)
	if err != nil {
		return err
	}
	by := func(action string) results.AuditEntry {
		return results.AuditEntry{ID: ulid.Make().String(), Tenant: tenant, At: now, Actor: "chaos", Action: action}
	}
	if err := s.store.CreateKey(ctx, key, by("key.created")); err != nil {
		return err
	}
	s.key = text
	for n := range subjects {
		entry := by("subject.created")
		entry.Subject = subject(n)
		if err := s.store.CreateSubject(ctx, results.Subject{Tenant: tenant, ID: subject(n), CreatedAt: now}, entry); err != nil {
			return err
		}
	}
	entry := by("site.changed")
	entry.Target = site
	_, err = s.store.PutSite(ctx, results.Site{Tenant: tenant, ID: site, Doc: results.SiteDoc{SignNames: []string{"Onsite"}}, CreatedAt: now}, 0, entry)
	if err != nil {
		return err
	}
	return s.store.PutBucketMap(ctx, results.BucketMap{Bucket: bucket, Prefix: "", Tenant: tenant, CreatedAt: now}, by("bucket.mapped"))
}

// bucket is the foreign bucket that `onsite bench api` names objects of; nothing is ever read from it.
const bucket = "chaos-uploads"

func subject(n int) string { return fmt.Sprintf("e%03d", n%subjects) }

// processes are all of them, each once.
func (s *stand) processes() []*process {
	if s.kind == Postgres {
		return append(append([]*process{}, s.apis...), s.workers...)
	}
	return s.apis
}

// close stops everything.
func (s *stand) close() error {
	for _, p := range s.processes() {
		p.stop(20 * time.Second)
	}
	var errs []error
	if s.rdb != nil {
		errs = append(errs, s.rdb.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	if s.far != nil {
		s.far.stop(10 * time.Second)
	}
	if s.pg != nil {
		errs = append(errs, s.pg.Remove())
	}
	if s.minio != nil {
		s.minio.Stop()
	}
	if s.cables != nil {
		errs = append(errs, s.cables.remove())
	}
	if s.smallDisk {
		errs = append(errs, unix.Unmount(s.objectsDir(), unix.MNT_DETACH))
	}
	return errors.Join(errs...)
}

// freeAddress is an address that nobody listens on now.
func freeAddress() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
