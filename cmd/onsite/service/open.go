package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"onsite/cmd/onsite/config"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/object"
	"onsite/results/vault"
	"onsite/workers/queue"
)

// base is what every role stands on. Close takes it down in the opposite order.
type base struct {
	cfg      config.Config
	log      *slog.Logger
	registry *prometheus.Registry
	folder   *Folder // nil but for serve
	store    *database.Store
	steps    results.Store    // the same, as the parts use it: in the fault harness it kills the process now and then
	clock    func() time.Time // nil: the machine's
	objects  object.Store
	s3       *object.S3 // nil when objects lie in a folder
	vault    *vault.Vault
	secret   []byte // signs cursors and upload URLs
	queue    *queue.Queue
	bell     results.Bell
	redis    queue.Options
	private  *queue.Private // nil but for serve's own Redis
	closers  []func()
}

func (b *base) later(f func()) { b.closers = append(b.closers, f) }

// Close closes everything that was opened, the newest first.
func (b *base) Close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
	b.closers = nil
}

// openBase opens what the configuration names. What it opened before an error is closed again.
func openBase(ctx context.Context, role config.Role, c config.Config, log *slog.Logger) (*base, error) {
	b := &base{cfg: c, log: log, registry: prometheus.NewRegistry()}
	if err := b.open(ctx, role); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *base) open(ctx context.Context, role config.Role) (err error) {
	c, log := b.cfg, b.log
	b.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	tables := CheckTables
	if role == config.RoleServe {
		tables = MoveTables
		if b.folder, err = OpenFolder(c.Data); err != nil {
			return err
		}
		b.later(func() { _ = b.folder.Close() })
	}
	if c.Measure {
		b.clock = jumpingClock()
	}
	if b.store, err = openStore(ctx, c, log, tables, b.clock); err != nil {
		return err
	}
	b.steps = steps(b.store, c.Measure)
	b.later(func() {
		if err := b.store.Close(); err != nil {
			log.Warn("the results store was not closed in order", "error", err.Error())
		}
	})
	if err = b.openObjects(); err != nil {
		return err
	}
	if err = b.openVault(ctx, role); err != nil {
		return err
	}
	return b.openQueue(ctx)
}

// Tables says what an opener of the store wants of its tables.
type Tables int

// What is wanted of the tables.
const (
	CheckTables Tables = iota // exactly those of this program, or an error that says what to run
	MoveTables                // brought up to this program
	AnyTables                 // as they are
)

// OpenStore opens the results store that is configured. Serve brings its tables up to date by itself; elsewhere that is "onsite migrate up",
// because several programs of different versions may run against one store.
func OpenStore(ctx context.Context, c config.Config, log *slog.Logger, t Tables) (*database.Store, error) {
	return openStore(ctx, c, log, t, nil)
}

func openStore(ctx context.Context, c config.Config, log *slog.Logger, t Tables, clock func() time.Time) (*database.Store, error) {
	o := database.Options{SQLite: c.Store.SQLite, Postgres: c.Store.Postgres.Reveal(), Logger: log, Clock: clock}
	where := c.Store.Postgres.String()
	if o.Postgres != "" {
		o.MaxConns = c.Store.Connections
	} else {
		where = o.SQLite
	}
	s, err := database.Open(ctx, o)
	if err != nil {
		return nil, storeFault(where, err)
	}
	switch t {
	case CheckTables:
		err = s.Validate(ctx)
	case MoveTables:
		err = s.Migrate(ctx)
	case AnyTables:
	}
	if err == nil {
		return s, nil
	}
	_ = s.Close()
	if t == CheckTables && !errors.Is(err, results.ErrAway) {
		return nil, fault(err,
			fmt.Sprintf("the tables of the results store %s are not those of this program: %v; run \"onsite migrate up\" once", where, err),
			fmt.Sprintf("结果库 %s 的表与本程序不一致：%v；请先执行一次 onsite migrate up", where, err))
	}
	return nil, storeFault(where, err)
}

func storeFault(where string, err error) error {
	return fault(err,
		fmt.Sprintf("the results store %s cannot be used: %v; check store.sqlite or store.postgres, and that it is running", where, err),
		fmt.Sprintf("无法使用结果库 %s：%v；请检查 store.sqlite 或 store.postgres，并确认其正在运行", where, err))
}

func (b *base) openObjects() error {
	o := b.cfg.Objects
	var err error
	if o.Dir != "" {
		if b.objects, err = object.NewFolder(o.Dir); err != nil {
			return fault(err,
				fmt.Sprintf("the object folder %s cannot be used: %v; check objects.dir and its permissions", o.Dir, err),
				fmt.Sprintf("无法使用对象文件夹 %s：%v；请检查 objects.dir 及其权限", o.Dir, err))
		}
		return nil
	}
	b.s3, err = object.NewS3(object.S3Config{
		Endpoint: o.S3.Endpoint, Region: o.S3.Region, Bucket: o.S3.Bucket,
		AccessKey: o.S3.AccessKey, SecretKey: o.S3.SecretKey.Reveal(), PublicURL: o.S3.PublicURL,
	})
	if err != nil {
		return fault(err,
			fmt.Sprintf("the S3 service %s cannot be used: %v; correct the settings under objects.s3", o.S3.Endpoint, err),
			fmt.Sprintf("无法使用 S3 服务 %s：%v；请修改 objects.s3 下的设置", o.S3.Endpoint, err))
	}
	b.objects = b.s3
	return nil
}

// openVault loads the key-encryption key. Serve makes one at its first start, and never beside a store that was sealed with another.
func (b *base) openVault(ctx context.Context, role config.Role) error {
	c := b.cfg.KEK
	var kek vault.KEK
	var err error
	switch {
	case !c.Text.Empty():
		kek, err = vault.KEKFromEnv(c.Text.Reveal())
	default:
		kek, err = vault.LoadKEK(c.File)
		if errors.Is(err, fs.ErrNotExist) && role == config.RoleServe {
			kek, err = b.firstKEK(ctx, c.File)
		}
	}
	var known *Fault
	switch {
	case errors.As(err, &known):
		return err
	case err != nil:
		return kekFault(c.File, err)
	}
	// Every process of an installation has the same key-encryption key, so what must be the same everywhere is derived from it.
	if b.secret, err = kek.Derive("cursors and upload links", 32); err != nil {
		return err
	}
	b.vault = vault.New(b.store, b.objects, kek)
	var other *vault.KEKError
	switch err := b.vault.Check(ctx); {
	case errors.As(err, &other):
		return &Fault{Text: other.Text(), Err: err}
	case errors.Is(err, object.ErrAway):
		b.log.Warn("the object store does not answer yet", "error", err.Error())
	case err != nil:
		return fmt.Errorf("hold the key-encryption key against the store: %w", err)
	}
	return nil
}

// firstKEK makes the key of a new installation. A store with tenants had one, which was lost or lies elsewhere: a new one would not open
// what the old one sealed, and the loss would show only much later.
func (b *base) firstKEK(ctx context.Context, path string) (vault.KEK, error) {
	tenants, err := b.store.Tenants(ctx)
	if err != nil {
		return vault.KEK{}, fmt.Errorf("look whether the store is new: %w", err)
	}
	if len(tenants) > 0 {
		return vault.KEK{}, fault(nil,
			fmt.Sprintf("the key-encryption key %s is missing, and what is stored was sealed with it; restore it from its backup, or name it with kek.file", path),
			fmt.Sprintf("缺少密钥加密密钥 %s，而已存储的数据是用它加密的；请从备份中恢复，或用 kek.file 指定其位置", path))
	}
	kek, err := vault.NewKEK(path)
	if err == nil {
		b.log.Info("made the key-encryption key: keep a copy of it in a safe place, without it nothing stored can be read", "file", path)
	}
	return kek, err
}

func kekFault(path string, err error) error {
	where := path
	if where == "" {
		where = "kek.text"
	}
	return fault(err,
		fmt.Sprintf("the key-encryption key (%s) cannot be used: %v; give the one that \"onsite kek new\" wrote", where, err),
		fmt.Sprintf("无法使用密钥加密密钥（%s）：%v；请提供 onsite kek new 生成的密钥", where, err))
}

// openQueue connects to Redis. A Redis that is away does not stop a start: jobs are accepted and wait in the store.
func (b *base) openQueue(ctx context.Context) error {
	var o queue.Options
	var err error
	if b.cfg.PrivateRedis() {
		if b.private, err = queue.StartPrivate(ctx, b.folder.Join("redis"), b.log); err != nil {
			return queueFault(err)
		}
		b.later(func() {
			if err := b.private.Close(); err != nil {
				b.log.Warn("the private Redis was not stopped in order", "error", err.Error())
			}
		})
		o = b.private.Options()
	} else if o, err = redisOptions(b.cfg.Redis); err != nil {
		return err
	}
	b.redis = o
	if b.queue, err = queue.Open(o, b.log); err != nil {
		return queueFault(err)
	}
	b.later(func() { _ = b.queue.Close() })
	switch err := b.queue.Check(ctx); {
	case errors.Is(err, queue.ErrAway):
		b.log.Warn("Redis does not answer yet; jobs wait in the store until it does", "error", err.Error())
	case err != nil:
		return queueFault(err)
	}
	bell := b.queue.NewBell()
	b.later(bell.Close)
	b.bell = bell
	return nil
}

// queueFault takes the queue's own words where it has some.
func queueFault(err error) error {
	var p *queue.Problem
	if errors.As(err, &p) {
		return &Fault{Text: p.Text, Err: err}
	}
	return fault(err, fmt.Sprintf("the queue cannot be used: %v; check the settings under redis", err), fmt.Sprintf("无法使用队列：%v；请检查 redis 下的设置", err))
}

// redisOptions translates the settings.
func redisOptions(r config.Redis) (queue.Options, error) {
	o := queue.Options{
		URL:      r.URL.Reveal(),
		Sentinel: queue.Sentinel{Master: r.Sentinel.Master, Addrs: r.Sentinel.Addresses, Username: r.Sentinel.Username, Password: r.Sentinel.Password.Reveal()},
		Cluster:  r.Cluster.Addresses,
		Username: r.Username, Password: r.Password.Reveal(), DB: r.DB,
	}
	if r.Socket != "" {
		u := url.URL{Scheme: "unix", Path: r.Socket, RawQuery: "db=" + strconv.Itoa(r.DB)}
		o.URL, o.DB = u.String(), 0
	}
	if r.TLS || r.TLSCA != "" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if r.TLSCA != "" {
		pem, err := os.ReadFile(filepath.Clean(r.TLSCA))
		if err != nil {
			return o, fault(err, fmt.Sprintf("redis.tls_ca cannot be read: %v; check the path", err), fmt.Sprintf("无法读取 redis.tls_ca：%v；请检查路径", err))
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return o, fault(nil, fmt.Sprintf("redis.tls_ca: %s holds no certificate; give a PEM file", r.TLSCA), fmt.Sprintf("redis.tls_ca：%s 中没有证书；请提供 PEM 文件", r.TLSCA))
		}
		o.TLS.RootCAs = pool
	}
	return o, nil
}
