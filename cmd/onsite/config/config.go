package config

import (
	"path/filepath"
	"time"
)

// Config is every setting. A leaf's key is the path of its koanf tags with dots, its variable the same in capitals after ONSITE_; the doc
// tag is its line in docs/operations.md.
type Config struct {
	Data    string  `koanf:"data" doc:"folder in which \"onsite serve\" keeps everything: database, objects, Redis, keys"`
	Measure bool    `koanf:"measure" doc:"allows what is for measurements only (worker.core: noop)"`
	Store   Store   `koanf:"store"`
	Redis   Redis   `koanf:"redis"`
	Objects Objects `koanf:"objects"`
	KEK     KEK     `koanf:"kek"`
	API     API     `koanf:"api"`
	Worker  Worker  `koanf:"worker"`
	Intake  Intake  `koanf:"intake"`
	Audit   Audit   `koanf:"audit"`
	Log     Log     `koanf:"log"`
	OTLP    OTLP    `koanf:"otlp"`

	given map[string]string // key -> where its value came from; absent: the default
}

// Store is the results store: one of the two.
type Store struct {
	SQLite      string `koanf:"sqlite" doc:"path of a SQLite database; serve: onsite.db in the data folder"`
	Postgres    Secret `koanf:"postgres" doc:"PostgreSQL connection string, postgres://user:password@host:5432/onsite?sslmode=verify-full"`
	Connections int    `koanf:"connections" doc:"connections to PostgreSQL that one process opens at most"`
}

// Redis is the queue's server: a URL, a socket, Sentinels or a cluster. Serve starts a private one when none is named.
type Redis struct {
	URL      Secret   `koanf:"url" doc:"redis://user:password@host:6379/0, or rediss:// with TLS"`
	Socket   string   `koanf:"socket" doc:"path of a Unix socket"`
	Sentinel Sentinel `koanf:"sentinel"`
	Cluster  Cluster  `koanf:"cluster"`
	Username string   `koanf:"username" doc:"user of the Redis server, where redis.url holds none"`
	Password Secret   `koanf:"password" doc:"password of the Redis server, where redis.url holds none"`
	DB       int      `koanf:"db" doc:"number of the database, with redis.socket or Sentinels; redis.url holds its own"`
	TLS      bool     `koanf:"tls" doc:"TLS to Sentinels, their servers and clusters; redis.url says it with rediss://"`
	TLSCA    string   `koanf:"tls_ca" doc:"PEM file with the certificate authority of the Redis servers; else the system's"`
}

// Sentinel finds the primary of a group.
type Sentinel struct {
	Addresses []string `koanf:"addresses" doc:"host:port of every Sentinel"`
	Master    string   `koanf:"master" doc:"the name under which the Sentinels know the primary"`
	Username  string   `koanf:"username" doc:"user of the Sentinels themselves"`
	Password  Secret   `koanf:"password" doc:"password of the Sentinels themselves"`
}

// Cluster is a Redis Cluster.
type Cluster struct {
	Addresses []string `koanf:"addresses" doc:"host:port of some nodes of a Redis Cluster"`
}

// Objects is where sealed media, keyframes and photos lie: a folder or S3.
type Objects struct {
	Dir string `koanf:"dir" doc:"folder; serve: objects in the data folder"`
	S3  S3     `koanf:"s3"`
}

// S3 is an S3-compatible store.
type S3 struct {
	Endpoint     string `koanf:"endpoint" doc:"URL of the S3 service, https://s3.example.com"`
	PublicURL    string `koanf:"public_url" doc:"URL under which clients reach it, for upload forms; else the endpoint"`
	Region       string `koanf:"region" doc:"region of the buckets"`
	Bucket       string `koanf:"bucket" doc:"bucket for sealed objects; only Onsite writes there"`
	UploadBucket string `koanf:"upload_bucket" doc:"bucket into which clients upload by POST /v1/uploads; its notifications start the jobs"`
	AccessKey    string `koanf:"access_key" doc:"access key id"`
	SecretKey    Secret `koanf:"secret_key" doc:"secret access key"`
}

// KEK is the key that wraps every subject's key. Without it nothing sealed can be read again.
type KEK struct {
	File string `koanf:"file" doc:"file with the key-encryption key (\"onsite kek new\" writes one); serve: kek in the data folder"`
	Text Secret `koanf:"text" doc:"the key-encryption key itself, from a secret manager"`
}

// API is the HTTP side.
type API struct {
	Listen         string   `koanf:"listen" doc:"address; port 0 takes a free one"`
	TLSCert        string   `koanf:"tls_cert" doc:"PEM file with the certificate chain"`
	TLSKey         string   `koanf:"tls_key" doc:"PEM file with the certificate's key"`
	Insecure       bool     `koanf:"insecure" doc:"allows an address other than 127.0.0.1 without TLS, behind a proxy that has it"`
	PublicURL      string   `koanf:"public_url" doc:"how clients reach the API, https://onsite.example.com; for links"`
	MaxUploadBytes Bytes    `koanf:"max_upload_bytes" doc:"largest media taken, refused while it streams in"`
	MaxWaiting     int      `koanf:"max_waiting" doc:"unfinished jobs per tenant before submissions are answered 429, where the tenant's settings say nothing"`
	Operators      []string `koanf:"operators" doc:"tenants whose keys may change the models of the whole installation; empty: only the one tenant of an installation may"`
	EventSecret    Secret   `koanf:"event_secret" doc:"token with which a bucket's notifications are sent; empty: that route is closed"`
}

// Worker is what runs the jobs.
type Worker struct {
	Name           string        `koanf:"name" doc:"name in leases and logs, for people; else host and process"`
	Concurrency    int           `koanf:"concurrency" doc:"jobs at a time; 0: one per core"`
	Lease          time.Duration `koanf:"lease" doc:"how long a job belongs to a worker that is no longer heard of"`
	AttemptTimeout time.Duration `koanf:"attempt_timeout" doc:"longest time for one attempt; what hangs longer ends the worker for its supervisor"`
	DrainTimeout   time.Duration `koanf:"drain_timeout" doc:"how long a stopping worker waits for its jobs before it puts them back"`
	Window         int           `koanf:"window" doc:"tasks that wait in Redis at a time; 0: four for each job that all workers run at once, 64 at least"`
	Core           string        `koanf:"core" doc:"full; decoding or noop are for measurements and need measure: true"`
	NoopWait       time.Duration `koanf:"noop_wait" doc:"how long each job of the core noop takes, without work: many workers on one machine then stand for many machines"`
	Index          string        `koanf:"index" doc:"where earlier footage beyond the newest is looked for: memory keeps an index of its frames' hashes (130 bytes each), database reads the store's rows for every job, for small installations"`
	IndexDir       string        `koanf:"index_dir" doc:"folder for snapshots of that index, one for each worker; serve: index in the data folder; empty: none, it is read from the store at every start"`
	IndexShard     string        `koanf:"index_shard" doc:"which part of all clips this worker's index holds, such as 1/3; it asks the others for theirs. Empty: all"`
	IndexPeers     []string      `koanf:"index_peers" doc:"with worker.index_shard: URL of every shard in order, http://worker-1:8422; behind one there may be several workers. The own one is not asked"`
	IndexListen    string        `koanf:"index_listen" doc:"with worker.index_shard: address at which other workers ask this one"`
	IndexToken     Secret        `koanf:"index_token" doc:"with worker.index_shard: token that the workers show each other, the same everywhere"`
	Models         string        `koanf:"models" doc:"folder with manifests and models of your own, which replace the built-in ones of their tasks"`
	RegistryDir    string        `koanf:"registry_dir" doc:"folder that the process may write to, for the models it fetches from the registry; serve: registry in the data folder; empty: registry in ONSITE_CACHE"`
	Provider       string        `koanf:"provider" doc:"what runs the models: cpu, cuda, tensorrt or openvino. Strict: what would run elsewhere keeps the process from becoming ready"`
	Device         int           `koanf:"device" doc:"number of the provider's device, from 0; openvino: 0 is the processor, 1 the first GPU"`
	Runtime        string        `koanf:"runtime" doc:"path of an ONNX Runtime of your own, its providers beside it (needed for openvino); empty: the installed one that fits the provider"`
	Batch          int           `koanf:"batch" doc:"pictures of different jobs that one run of a model takes together at most; 0: 16 on a GPU, 1 on the processor"`
	BatchDelay     time.Duration `koanf:"batch_delay" doc:"how long the first of them waits for others; 0: 2ms on a GPU"`
	Listen         string        `koanf:"listen" doc:"address of the worker's own /metrics, /livez and /readyz; empty: none"`
	Insecure       bool          `koanf:"insecure" doc:"allows a worker.listen and a worker.index_listen other than 127.0.0.1, in a network where nobody else listens: the page has neither TLS nor keys, the index no TLS"`
}

// Intake is how a bucket's notifications come in, beside the API's route for them.
type Intake struct {
	List   string   `koanf:"list" doc:"Redis list into which the bucket writes its notifications; empty: none is read"`
	MayMap []string `koanf:"may_map" doc:"which tenant may map which bucket, tenant:bucket or tenant:bucket/prefix; empty: only the one tenant of an installation may, any"`
}

// Audit is where the signed heads of the audit logs go, so that a log that was rewritten shows: each somewhere that whoever runs the results
// store cannot change.
type Audit struct {
	WitnessDir    string `koanf:"witness_dir" doc:"folder into which every checkpoint of the audit log is written, on a disk of others; empty: none"`
	WitnessBucket string `koanf:"witness_bucket" doc:"bucket at objects.s3.endpoint for the same, with object lock; empty: none"`
	WitnessURL    Secret `koanf:"witness_url" doc:"URL to which every checkpoint is posted as text; empty: none"`
}

// Log is what is written to stderr.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" doc:"json, or text for people"`
}

// OTLP is where traces go.
type OTLP struct {
	Endpoint string `koanf:"endpoint" doc:"URL of an OpenTelemetry collector (OTLP over HTTP), http://127.0.0.1:4318; empty: no traces leave the process"`
}

// MaxUploadBytes is the largest file that the decoder takes (media.DefaultLimits); 15 s of a good phone's 4K are half of it.
const MaxUploadBytes = 200_000_000

// Defaults are the settings of somebody who chose nothing.
func Defaults() Config {
	return Config{
		Data:  "onsite-data",
		Store: Store{Connections: 16},
		Objects: Objects{
			S3: S3{Region: "us-east-1"},
		},
		API: API{
			Listen:         "127.0.0.1:8420",
			MaxUploadBytes: MaxUploadBytes,
			MaxWaiting:     20_000, // results.Settings
		},
		Worker: Worker{
			Lease: 5 * time.Second, AttemptTimeout: 2 * time.Minute, DrainTimeout: 30 * time.Second, Core: CoreFull, Index: IndexMemory, Provider: ProviderCPU,
		},
		Log: Log{Level: "info", Format: "json"},
	}
}

// The cores of a worker.
const (
	CoreFull     = "full"
	CoreDecoding = "decoding" // decodes, then answers without looking: for the fault harness
	CoreNoop     = "noop"     // answers at once: for measuring the service
)

// ProviderCPU runs the models on the processor. The others are those of package models.
const ProviderCPU = "cpu"

// Where a worker looks for earlier footage.
const (
	IndexMemory   = "memory"
	IndexDatabase = "database"
)

// Given says where a setting came from: "--data", "ONSITE_DATA", "onsite.yaml: data"; "" when it is the default.
func (c Config) Given(key string) string { return c.given[key] }

// PrivateRedis says that nothing names a Redis server, so that serve starts its own.
func (c Config) PrivateRedis() bool {
	r := c.Redis
	return r.URL.Empty() && r.Socket == "" && len(r.Sentinel.Addresses) == 0 && len(r.Cluster.Addresses) == 0
}

// The places in the data folder.

// Path joins a name to the data folder.
func (c Config) Path(name string) string { return filepath.Join(c.Data, name) }

// InData fills what serve keeps in its data folder unless something else is named.
func (c Config) InData() Config {
	if c.Store.SQLite == "" && c.Store.Postgres.Empty() {
		c.Store.SQLite = c.Path("onsite.db")
	}
	if c.Objects.Dir == "" && c.Objects.S3.Endpoint == "" {
		c.Objects.Dir = c.Path("objects")
	}
	if c.KEK.File == "" && c.KEK.Text.Empty() {
		c.KEK.File = c.Path("kek")
	}
	if c.Worker.IndexDir == "" {
		c.Worker.IndexDir = c.Path("index")
	}
	if c.Worker.RegistryDir == "" {
		c.Worker.RegistryDir = c.Path("registry")
	}
	return c
}
