package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onsite.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLayers(t *testing.T) {
	file := write(t, `
data: from-file
redis:
  sentinel: {addresses: ["a:1", "b:2"], master: m}
worker: {concurrency: 3, lease: 9s}
api:
  max_upload_bytes: 1GiB
  insecure: true
store: # all defaults
`)
	c, err := Load(Source{
		File:    file,
		Environ: []string{"ONSITE_DATA=from-env", "ONSITE_WORKER_CONCURRENCY=4", "ONSITE_REDIS_CLUSTER_ADDRESSES=x:1, y:2", "PATH=/bin", "ONSITE_LOG_LEVEL="},
		Flags:   map[string]string{"data": "from-flag"}, FlagNames: map[string]string{"data": "--data"},
	})
	require.NoError(t, err)
	require.Equal(t, "from-flag", c.Data)
	require.Equal(t, 4, c.Worker.Concurrency)
	require.Equal(t, 9*time.Second, c.Worker.Lease)
	require.Equal(t, 2*time.Minute, c.Worker.AttemptTimeout, "a default")
	require.Equal(t, []string{"a:1", "b:2"}, c.Redis.Sentinel.Addresses)
	require.Equal(t, []string{"x:1", "y:2"}, c.Redis.Cluster.Addresses)
	require.Equal(t, Bytes(1<<30), c.API.MaxUploadBytes)
	require.True(t, c.API.Insecure)
	require.Equal(t, "info", c.Log.Level, "an empty variable is none")

	require.Equal(t, "--data", c.Given("data"))
	require.Equal(t, "ONSITE_WORKER_CONCURRENCY", c.Given("worker.concurrency"))
	require.Equal(t, "onsite.yaml: worker.lease", c.Given("worker.lease"))
	require.Empty(t, c.Given("log.level"))
}

func TestFileFromEnvironment(t *testing.T) {
	file := write(t, "data: here\n")
	c, err := Load(Source{Environ: []string{"ONSITE_CONFIG=" + file}})
	require.NoError(t, err)
	require.Equal(t, "here", c.Data)
}

// Everything that is wrong is said at once, each with its name, its value, what is accepted and what to do.
func TestAllProblemsAtOnce(t *testing.T) {
	file := write(t, `
redis: {sentnel: {master: m}, url: [a, b]}
worker: {concurency: 3, lease: soon}
log: json
api: {max_upload_bytes: big, insecure: maybe}
objects: {s3: {access_key: 0123}}
`)
	_, err := Load(Source{
		File:    file,
		Environ: []string{"ONSITE_WORKER_WINDOW=-1", "ONSITE_STORE_POSTGRESS=x", "ONSITE_REDIS_SENTINEL_ADDRESSES=a,,b"},
		Flags:   map[string]string{"wroker.core": "noop", "store.postgres": "postgres://u:hush@h/d"},
	})
	var all *Error
	require.ErrorAs(t, err, &all)
	require.Len(t, all.Problems, 13, err.Error())
	for _, want := range []string{
		`onsite.yaml: redis.sentnel: there is no such setting; did you mean redis.sentinel?`,
		`onsite.yaml: worker.concurency: there is no such setting; did you mean worker.concurrency?`,
		`onsite.yaml: worker.lease = "soon": a duration from 0 is wanted; write a number with its unit, such as 8s or 2m`,
		`onsite.yaml: log = "json": a section with settings is wanted`,
		`onsite.yaml: api.max_upload_bytes = "big": a size is wanted`,
		`onsite.yaml: api.insecure = "maybe": yes or no is wanted; write true or false`,
		`onsite.yaml: objects.s3.access_key = `, `put the value in quotes`,
		`ONSITE_WORKER_WINDOW = "-1": a whole number from 0 is wanted`,
		`ONSITE_STORE_POSTGRESS: there is no such setting; did you mean ONSITE_STORE_POSTGRES?`,
		`ONSITE_REDIS_SENTINEL_ADDRESSES = "a,,b": a list of texts`,
		`--set wroker.core: there is no such setting; did you mean worker.core?`,
		`--set store.postgres: a secret on the command line can be read by everybody`,
		`ONSITE_STORE_POSTGRES_FILE`,
	} {
		require.Contains(t, err.Error(), want)
	}
	require.NotContains(t, err.Error(), "hush")
	require.Contains(t, all.Text().ZH, "没有这个设置；是否想写 redis.sentinel？")
	require.Contains(t, all.Text().ZH, "需要不小于 0 的时长")
}

func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ file, want string }{
		"missing":   {filepath.Join(dir, "no.yaml"), "no such file"},
		"a folder":  {dir, "not a regular file"},
		"bad YAML":  {write(t, "a: ["), "correct the YAML"},
		"twice":     {write(t, "data: a\ndata: b\n"), "[2:1]"},
		"anchor":    {write(t, "data: &a b\n"), "anchors"},
		"a list":    {write(t, "- a\n"), "correct the YAML"},
		"two":       {write(t, "data: a\n---\ndata: b\n"), "more than one"},
		"too large": {write(t, "data: "+strings.Repeat("x", maxFileBytes)), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Source{File: c.file})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "--config")
		})
	}
	_, err := Load(Source{File: write(t, "# nothing yet\n")})
	require.NoError(t, err)
}

func TestValuesFromFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "dsn")
	require.NoError(t, os.WriteFile(secret, []byte("postgres://u:hush@h/d\n"), 0o600))
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))

	c, err := Load(Source{Environ: []string{"ONSITE_STORE_POSTGRES_FILE=" + secret}})
	require.NoError(t, err)
	require.Equal(t, "postgres://u:hush@h/d", c.Store.Postgres.Reveal())

	c, err = Load(Source{File: write(t, "store: {postgres_file: "+secret+"}\n"), Environ: []string{"ONSITE_STORE_POSTGRES=postgres://other/d"}})
	require.NoError(t, err, "a later layer wins")
	require.Equal(t, "postgres://other/d", c.Store.Postgres.Reveal())

	for name, environ := range map[string][]string{
		"keep one of the two": {"ONSITE_STORE_POSTGRES_FILE=" + secret, "ONSITE_STORE_POSTGRES=x"},
		"no such file":        {"ONSITE_STORE_POSTGRES_FILE=" + secret + "x"},
		"it is empty":         {"ONSITE_STORE_POSTGRES_FILE=" + empty},
	} {
		_, err = Load(Source{Environ: environ})
		require.ErrorContains(t, err, name)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	s := NewSecret("postgres://user:hush@db:5432/onsite?password=hush")
	plain := NewSecret("hush")
	c := Defaults()
	c.Store.Postgres, c.KEK.Text = s, plain
	marshalled, err := json.Marshal(c)
	require.NoError(t, err)
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", plain, "config", c)
	for _, text := range []string{
		fmt.Sprint(s, plain), fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, plain, plain, plain, plain), string(marshalled), logged.String(), fmt.Sprint(c.Effective()),
	} {
		require.NotContains(t, text, "hush")
		require.NotContains(t, text, "68757368")
	}
	require.Equal(t, "postgres://********@db:5432/onsite", s.String())
	require.Equal(t, "hush", plain.Reveal())
}

func TestCheck(t *testing.T) {
	file := write(t, "x")
	complete := func() Config {
		c := Defaults()
		c.Store.Postgres = NewSecret("postgres://h/d")
		c.Redis.URL = NewSecret("redis://h:6379/0")
		c.Objects.S3 = S3{Endpoint: "https://s3.example.com", Bucket: "onsite", AccessKey: "a", SecretKey: NewSecret("b")}
		c.KEK.File = file
		return c
	}
	require.NoError(t, Defaults().InData().Check(RoleServe), "serve needs nothing")
	require.NoError(t, Defaults().InData().Check(RoleStore))
	require.Equal(t, "onsite-data/registry", Defaults().InData().Worker.RegistryDir)
	own := Defaults()
	own.Worker.RegistryDir = "/elsewhere"
	require.Equal(t, "/elsewhere", own.InData().Worker.RegistryDir)
	for _, role := range []Role{RoleAPI, RoleWorker} {
		require.NoError(t, complete().Check(role))
		err := Defaults().Check(role)
		for _, want := range []string{"store.postgres: is not set", "ONSITE_REDIS_URL", "objects.s3.endpoint", "kek.file"} {
			require.ErrorContains(t, err, want, "all of them at once")
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"two stores":     {func(c *Config) { c.Store.SQLite = "x" }, "store.sqlite: is set together with store.postgres"},
		"no DSN":         {func(c *Config) { c.Store.Postgres = NewSecret("mysql://h:hush@x/") }, "is no PostgreSQL connection string"},
		"one connection": {func(c *Config) { c.Store.Connections = 1 }, "store.connections"},
		"two redis":      {func(c *Config) { c.Redis.Socket = "/s" }, "redis.url: is set together with redis.socket"},
		"redis scheme":   {func(c *Config) { c.Redis.URL = NewSecret("http://h:1") }, "is no Redis URL"},
		"redis password": {func(c *Config) { c.Redis.URL, c.Redis.Password = NewSecret("redis://:hush@h:1"), NewSecret("x") }, "redis.password: is set together with redis.url"},
		"redis user":     {func(c *Config) { c.Redis.URL, c.Redis.Username = NewSecret("redis://:hush@h:1"), "x" }, "redis.username: is set together with redis.url"},
		"redis db":       {func(c *Config) { c.Redis.DB = 1 }, "redis.db: is set together with redis.url"},
		"redis tls":      {func(c *Config) { c.Redis.TLS = true }, "write rediss:// there"},
		"no master":      {func(c *Config) { c.Redis.URL, c.Redis.Sentinel.Addresses = Secret{}, []string{"a:1"} }, "redis.sentinel.master: is not set"},
		"sentinel address": {func(c *Config) {
			c.Redis.URL, c.Redis.Sentinel = Secret{}, Sentinel{Addresses: []string{"a"}, Master: "m"}
		}, `redis.sentinel.addresses = "a": is no address`},
		"cluster db":        {func(c *Config) { c.Redis.URL, c.Redis.Cluster.Addresses, c.Redis.DB = Secret{}, []string{"a:1"}, 2 }, "only database 0"},
		"two objects":       {func(c *Config) { c.Objects.Dir = "x" }, "objects.dir: is set together with"},
		"S3 as host":        {func(c *Config) { c.Objects.S3.Endpoint = "s3:9000" }, "write https://host"},
		"no bucket":         {func(c *Config) { c.Objects.S3.Bucket = "" }, "objects.s3.bucket: is not set"},
		"same bucket":       {func(c *Config) { c.Objects.S3.UploadBucket = "onsite" }, "name another one"},
		"half a key":        {func(c *Config) { c.Objects.S3.SecretKey = Secret{} }, "objects.s3.secret_key: is not set"},
		"uploads in folder": {func(c *Config) { c.Objects = Objects{Dir: "x", S3: S3{UploadBucket: "u"}} }, "objects.s3.upload_bucket needs it"},
		"two KEKs":          {func(c *Config) { c.KEK.Text = NewSecret("x") }, "kek.file: is set together with kek.text"},
		"lost KEK":          {func(c *Config) { c.KEK.File += "x" }, "no such file"},
		"lost CA":           {func(c *Config) { c.Redis.TLSCA = file + "x" }, "redis.tls_ca"},
		"open to all":       {func(c *Config) { c.API.Listen = "0.0.0.0:80" }, "--insecure"},
		"open to all, too":  {func(c *Config) { c.API.Listen = ":80" }, "there is no TLS"},
		"no address":        {func(c *Config) { c.API.Listen = "80" }, "api.listen"},
		"no port":           {func(c *Config) { c.API.Listen = "127.0.0.1:http-ish" }, "api.listen"},
		"half of TLS":       {func(c *Config) { c.API.TLSCert = file }, "certificate and key come together"},
		"public URL":        {func(c *Config) { c.API.PublicURL = "onsite.example.com" }, "api.public_url"},
		"tiny uploads":      {func(c *Config) { c.API.MaxUploadBytes = 10 }, "api.max_upload_bytes"},
		"huge uploads":      {func(c *Config) { c.API.MaxUploadBytes = 1 << 40 }, "more than the decoder takes"},
		"nothing waits":     {func(c *Config) { c.API.MaxWaiting = 0 }, "api.max_waiting"},
		"event secret":      {func(c *Config) { c.API.EventSecret = NewSecret("short") }, "can be guessed"},
		"map":               {func(c *Config) { c.Intake.MayMap = []string{"acme:cams/a/", "cams"} }, `intake.may_map = "cams": is not of the form`},
		"level":             {func(c *Config) { c.Log.Level = "loud" }, "log.level"},
		"format":            {func(c *Config) { c.Log.Format = "xml" }, "log.format"},
		"collector":         {func(c *Config) { c.OTLP.Endpoint = "127.0.0.1:4318" }, "otlp.endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			config := complete()
			c.change(&config)
			err := config.Check(RoleAPI)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hush")
		})
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"measuring": {func(c *Config) { c.Worker.Core = CoreNoop }, "measure: true"},
		"core":      {func(c *Config) { c.Worker.Core = "half" }, "there is no such core"},
		"long":      {func(c *Config) { c.Worker.Lease = 3 * time.Minute }, "is not shorter than"},
		"short":     {func(c *Config) { c.Worker.Lease = time.Second }, "cannot renew"},
		"attempt":   {func(c *Config) { c.Worker.AttemptTimeout = time.Hour + time.Second }, "is longer than 1h"},
		"metrics":   {func(c *Config) { c.Worker.Listen = "x" }, "worker.listen"},
		"open page": {func(c *Config) { c.Worker.Listen = "0.0.0.0:8421" }, "worker.insecure"},

		"shard":         {func(c *Config) { c.Worker.IndexShard = "3/2" }, `worker.index_shard = "3/2": does not say which of how many, of 64 at most; write 1/3`},
		"no shard":      {func(c *Config) { c.Worker.IndexShard = "" }, "worker.index_shard: is not set"},
		"shard of none": {func(c *Config) { c.Worker.Index = IndexDatabase }, "set worker.index to memory"},
		"peers":         {func(c *Config) { c.Worker.IndexShard = "1/3" }, `worker.index_peers = "2": is the number of URLs, 3 are wanted`},
		"peer":          {func(c *Config) { c.Worker.IndexPeers[1] = "w2:8422" }, "worker.index_peers"},
		"no index":      {func(c *Config) { c.Worker.IndexListen = "" }, "worker.index_listen: is not set"},
		"open index":    {func(c *Config) { c.Worker.IndexListen = ":8422" }, "only your workers reach"},
		"index address": {func(c *Config) { c.Worker.IndexListen = "8422" }, "such as 127.0.0.1:8422"},
		"no token":      {func(c *Config) { c.Worker.IndexToken = Secret{} }, "worker.index_token: is not set"},
		"same peer":     {func(c *Config) { c.Worker.IndexPeers[1] = c.Worker.IndexPeers[0] + "/" }, "is there twice"},
		"whole":         {func(c *Config) { c.Worker.IndexShard = "1/1" }, "take out worker.index_peers"},
		"two lines":     {func(c *Config) { c.Worker.IndexToken = NewSecret("0123456789\nabcdef") }, "line break"},
		"a short token": {func(c *Config) { c.Worker.IndexToken = NewSecret("hush") }, "can be guessed; take 16 characters or more"},
	} {
		t.Run(name, func(t *testing.T) {
			config := complete()
			sharded(&config)
			require.NoError(t, config.Check(RoleWorker))
			c.change(&config)
			err := config.Check(RoleWorker)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hush")
		})
	}
	config := complete()
	sharded(&config)
	require.ErrorContains(t, config.Check(RoleServe), "one process holds the whole index")
	require.NoError(t, config.Check(RoleAPI), "it keeps no index; one file serves all")
	config = complete()
	config.Worker.IndexShard = "1/1"
	require.NoError(t, config.Check(RoleWorker), "one shard needs nobody")
	config.Worker.Core, config.Measure = CoreNoop, true
	require.NoError(t, config.Check(RoleWorker))
	config.API.Listen, config.API.Insecure = "0.0.0.0:80", true
	require.NoError(t, config.Check(RoleAPI))
}

// sharded are the settings of the first of two workers.
func sharded(c *Config) {
	c.Worker.IndexShard, c.Worker.IndexPeers = "1/2", []string{"http://w1:8422", "https://w2"}
	c.Worker.IndexListen, c.Worker.IndexToken = "127.0.0.1:8422", NewSecret("0123456789abcdef")
}

// No two settings share a variable, and none is that of something else or of another's file.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, k := range Keys() {
		require.NotContains(t, Others, k.Env)
		require.False(t, strings.HasPrefix(k.Env, OtherPrefix))
		for _, name := range []string{k.Env, k.Env + "_FILE"} {
			require.Empty(t, seen[name], "%s is that of %s, too", name, k.Name)
			seen[name] = k.Name
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "17": 17, "1KiB": 1024, "2 MiB": 2 << 20, "3GiB": 3 << 30} {
		got, err := parseBytes(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "-1", "1MB", "MiB", "9999999999GiB", "1.5GiB"} {
		_, err := parseBytes(text)
		require.Error(t, err, text)
	}
	require.Equal(t, "200MiB", Bytes(200<<20).String())
	require.Equal(t, "17", Bytes(17).String())
	require.Equal(t, "0", Bytes(0).String())
}

func FuzzLoad(f *testing.F) {
	f.Add("data: x\nredis: {url: a}\n")
	f.Add("worker:\n  lease: 3s\n  concurrency: [1]\n")
	f.Add("1: {2: 3}\n? a\n: b\n")
	f.Add("\"redis.url\": x\nredis.sentinel: {addresses: [a, 1, {}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "f.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := Load(Source{File: path}); err != nil {
			var all *Error
			require.ErrorAs(t, err, &all)
			require.NotEmpty(t, all.Problems)
		}
	})
}

// What a setting is by itself may also be written down.
func TestDefaultsCanBeWritten(t *testing.T) {
	var environ []string
	for _, k := range Keys() {
		if k.Default != "" {
			environ = append(environ, k.Env+"="+k.Default)
		}
	}
	require.Greater(t, len(environ), 20)
	_, err := Load(Source{Environ: environ})
	require.NoError(t, err)

	c, err := Load(Source{Environ: []string{"ONSITE_WORKER_DRAIN_TIMEOUT=0s", "ONSITE_WORKER_NOOP_WAIT=0s"}})
	require.NoError(t, err)
	require.ErrorContains(t, c.Check(RoleServe), `ONSITE_WORKER_DRAIN_TIMEOUT = "0s": leaves a stopping worker no time`)
}

// A reader is told everything at once, and each setting once.
func TestJoin(t *testing.T) {
	load := func(yaml string, environ ...string) error {
		path := filepath.Join(t.TempDir(), "onsite.yaml")
		require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
		c, err := Load(Source{File: path, Environ: environ, Flags: map[string]string{"kek.text": "secret"}})
		return Join(err, c.Check(RoleAPI))
	}
	err := load("stoer: {}\nredis:\n  database: many\n", "ONSITE_API_WEBHOOK_SECRET_FILE=/none")
	require.ErrorContains(t, err, "stoer")
	require.ErrorContains(t, err, "onsite.yaml: redis.database")
	require.ErrorContains(t, err, "on the command line")
	require.ErrorContains(t, err, "store.postgres: is not set")
	require.ErrorContains(t, err, "objects")
	require.NotContains(t, err.Error(), "kek.text: is not set")
	require.Equal(t, 1, strings.Count(err.Error(), "kek.text"), err)

	err = load("store: [\n")
	require.NotContains(t, err.Error(), "is not set", "it may stand in the file that cannot be read")

	found := &Error{Problems: []Problem{{Key: "a"}}}
	require.NoError(t, Join(nil, nil))
	require.Equal(t, error(found), Join(nil, found))
	require.Equal(t, error(found), Join(found, nil))
	var joined *Error
	require.ErrorAs(t, Join(found, &Error{Problems: []Problem{{Key: "a"}, {Key: "b"}}}), &joined)
	require.Len(t, joined.Problems, 2)
}
