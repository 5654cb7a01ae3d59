package config

import (
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
)

// Role is what a process is about to do, and so what it needs to know.
type Role string

// The roles.
const (
	RoleServe  Role = "serve"  // everything in one process; what is not named lies in the data folder
	RoleAPI    Role = "api"    // the HTTP side, against named services
	RoleWorker Role = "worker" // runs jobs, against named services
	RoleStore  Role = "store"  // works on the results store and nothing else: migrate, tenant, key
)

// Check says what is wrong with the settings for a role: nil, or an *Error with all of it. For serve and store give it what InData made.
func (c Config) Check(role Role) error {
	k := &checker{c: c}
	k.store()
	if role != RoleStore {
		k.redis(role)
		k.objects()
		k.kek(role)
	}
	if role == RoleServe || role == RoleAPI {
		k.api()
	}
	if role == RoleServe || role == RoleWorker {
		k.worker()
		k.shard(role)
	}
	k.audit()
	k.rest()
	if len(k.problems) > 0 {
		slices.SortStableFunc(k.problems, func(a, b Problem) int { return strings.Compare(a.Key, b.Key) })
		return &Error{Problems: k.problems}
	}
	return nil
}

type checker struct {
	c        Config
	problems []Problem
}

// name is how a key was given, so that the reader finds it: the key itself when it was not.
func (k *checker) name(key string) string {
	if from := k.c.Given(key); from != "" {
		return from
	}
	return key
}

func (k *checker) add(key, given, wantEN, wantZH, fixEN, fixZH string) {
	k.problems = append(k.problems, Problem{
		Key: k.name(key), Given: given,
		Want: pipeline.Text{EN: wantEN, ZH: wantZH}, Fix: pipeline.Text{EN: fixEN, ZH: fixZH},
	})
}

// missing asks for a setting by both its names.
func (k *checker) missing(key, forEN, forZH string) {
	env := "ONSITE_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
	k.add(key, "", "is not set and "+forEN, "未设置，"+forZH, "set "+key+" in the YAML file or "+env, "请在 YAML 文件中设置 "+key+"，或设置 "+env)
}

func (k *checker) both(a, b string) {
	k.add(a, "", "is set together with "+k.name(b)+", and only one can hold", "与 "+k.name(b)+" 同时设置，只能保留一个", "take one out", "请删除其中一个")
}

func (k *checker) store() {
	s := k.c.Store
	switch {
	case s.SQLite != "" && !s.Postgres.Empty():
		k.both("store.sqlite", "store.postgres")
	case s.SQLite == "" && s.Postgres.Empty():
		k.missing("store.postgres", "names the results store (store.sqlite does for one machine)", "它指定结果库（单机可用 store.sqlite）")
	}
	if !s.Postgres.Empty() {
		u, err := url.Parse(s.Postgres.Reveal())
		keywords := strings.Contains(s.Postgres.Reveal(), "host=")
		if !keywords && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql") {
			k.add("store.postgres", s.Postgres.String(), "is no PostgreSQL connection string", "不是 PostgreSQL 连接字符串",
				"write postgres://user:password@host:5432/database", "请写 postgres://user:password@host:5432/database")
		}
	}
	if s.Connections < 2 {
		k.add("store.connections", strconv.Itoa(s.Connections), "at least 2 are needed", "至少需要 2 个", "write 16", "请写 16")
	}
}

func (k *checker) audit() {
	a, o := k.c.Audit, k.c.Objects
	switch {
	case a.WitnessBucket == "":
	case o.S3.Endpoint == "":
		k.add("audit.witness_bucket", a.WitnessBucket, "needs an S3 service", "需要 S3 服务", "set objects.s3.endpoint, or use audit.witness_dir", "请设置 objects.s3.endpoint，或使用 audit.witness_dir")
	case a.WitnessBucket == o.S3.Bucket || a.WitnessBucket == o.S3.UploadBucket:
		k.add("audit.witness_bucket", a.WitnessBucket, "is a bucket that Onsite changes", "是 Onsite 会改动的存储桶", "name a bucket of its own, with object lock", "请指定一个单独的、启用对象锁定的存储桶")
	}
	if !a.WitnessURL.Empty() {
		if u, err := url.Parse(a.WitnessURL.Reveal()); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			k.add("audit.witness_url", a.WitnessURL.String(), "is no URL of http or https", "不是 http 或 https 的 URL", "write https://witness.example.com/checkpoints", "请写 https://witness.example.com/checkpoints")
		}
	}
}

func (k *checker) redis(role Role) {
	r := k.c.Redis
	var ways []string
	if !r.URL.Empty() {
		ways = append(ways, "redis.url")
	}
	if r.Socket != "" {
		ways = append(ways, "redis.socket")
	}
	if len(r.Sentinel.Addresses) > 0 {
		ways = append(ways, "redis.sentinel.addresses")
	}
	if len(r.Cluster.Addresses) > 0 {
		ways = append(ways, "redis.cluster.addresses")
	}
	for _, way := range ways[min(1, len(ways)):] {
		k.both(ways[0], way)
	}
	if len(ways) == 0 && role != RoleServe {
		k.missing("redis.url", "names the queue's Redis (or redis.socket, redis.sentinel.addresses, redis.cluster.addresses)",
			"它指定队列所用的 Redis（也可用 redis.socket、redis.sentinel.addresses 或 redis.cluster.addresses）")
	}
	if !r.URL.Empty() {
		u, err := url.Parse(r.URL.Reveal())
		network := err == nil && u.Host != "" && (u.Scheme == "redis" || u.Scheme == "rediss")
		socket := err == nil && u.Path != "" && u.Scheme == "unix"
		if !network && !socket {
			k.add("redis.url", r.URL.String(), "is no Redis URL", "不是 Redis 地址", "write redis://user:password@host:6379/0", "请写 redis://user:password@host:6379/0")
		}
		if err == nil && u.User != nil {
			if r.Username != "" {
				k.both("redis.username", "redis.url")
			}
			if !r.Password.Empty() {
				k.both("redis.password", "redis.url")
			}
		}
		if r.DB != 0 {
			k.both("redis.db", "redis.url")
		}
		if r.TLS {
			k.add("redis.tls", "true", "says nothing about redis.url", "对 redis.url 无效", "write rediss:// there", "请在其中写 rediss://")
		}
	}
	if len(r.Sentinel.Addresses) > 0 && r.Sentinel.Master == "" {
		k.missing("redis.sentinel.master", "the Sentinels ask for it", "Sentinel 需要它")
	}
	if len(r.Cluster.Addresses) > 0 && r.DB != 0 {
		k.add("redis.db", strconv.Itoa(r.DB), "a cluster has only database 0", "集群只有 0 号数据库", "take it out", "请删除")
	}
	k.addresses("redis.sentinel.addresses", r.Sentinel.Addresses)
	k.addresses("redis.cluster.addresses", r.Cluster.Addresses)
	k.file("redis.tls_ca", r.TLSCA)
}

func (k *checker) addresses(key string, all []string) {
	for _, a := range all {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || !portOK(port) {
			k.add(key, a, "is no address", "不是有效地址", "write host:port", "请写 主机:端口")
		}
	}
}

func portOK(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

func (k *checker) objects() {
	o := k.c.Objects
	s3 := o.S3.Endpoint != ""
	switch {
	case o.Dir != "" && s3:
		k.both("objects.dir", "objects.s3.endpoint")
	case o.Dir == "" && !s3:
		k.missing("objects.s3.endpoint", "names where media are kept (objects.dir does for one machine)", "它指定媒体的存放处（单机可用 objects.dir）")
	}
	if !s3 {
		if o.S3.UploadBucket != "" {
			k.missing("objects.s3.endpoint", "objects.s3.upload_bucket needs it", "objects.s3.upload_bucket 需要它")
		}
		return
	}
	k.service("objects.s3.endpoint", o.S3.Endpoint)
	k.service("objects.s3.public_url", o.S3.PublicURL)
	if o.S3.Bucket == "" {
		k.missing("objects.s3.bucket", "sealed objects are kept there", "加密对象存放于此")
	}
	if o.S3.UploadBucket != "" && o.S3.UploadBucket == o.S3.Bucket {
		k.add("objects.s3.upload_bucket", o.S3.UploadBucket, "is the bucket of sealed objects, too", "与加密对象的存储桶相同", "name another one", "请指定另一个")
	}
	if o.S3.AccessKey == "" {
		k.missing("objects.s3.access_key", "the S3 service asks for it", "S3 服务需要它")
	}
	if o.S3.SecretKey.Empty() {
		k.missing("objects.s3.secret_key", "the S3 service asks for it", "S3 服务需要它")
	}
}

// service checks the URL of a service: scheme, host, nothing else.
func (k *checker) service(key, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		k.add(key, text, "is no URL of a service", "不是服务地址", "write https://host or https://host:port", "请写 https://主机 或 https://主机:端口")
	}
}

func (k *checker) kek(role Role) {
	c := k.c.KEK
	switch {
	case c.File != "" && !c.Text.Empty():
		k.both("kek.file", "kek.text")
	case c.File == "" && c.Text.Empty():
		k.missing("kek.file", "media and photos are sealed with it (\"onsite kek new FILE\" writes one)", "媒体和照片用它加密（可用 onsite kek new FILE 生成）")
	case role != RoleServe: // serve makes its own at the first start
		k.file("kek.file", c.File)
	}
}

// file says when a named file cannot be read.
func (k *checker) file(key, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err == nil {
		_ = f.Close()
		return
	}
	p := fileProblem(k.name(key), path, err)
	k.problems = append(k.problems, p)
}

func (k *checker) api() {
	a := k.c.API
	host, port, err := net.SplitHostPort(a.Listen)
	if err != nil || !portOK(port) {
		k.add("api.listen", a.Listen, "is no address", "不是有效地址", "write host:port, such as 127.0.0.1:8420", "请写 主机:端口，例如 127.0.0.1:8420")
	} else if !loopback(host) && a.TLSCert == "" && !a.Insecure {
		k.add("api.listen", a.Listen, "other machines reach this address, and there is no TLS", "其他机器可以访问该地址，但未启用 TLS",
			"set api.tls_cert and api.tls_key, or --insecure behind a proxy that has TLS, or listen on 127.0.0.1",
			"请设置 api.tls_cert 和 api.tls_key；若前面有提供 TLS 的代理，可用 --insecure；或改为监听 127.0.0.1")
	}
	switch {
	case (a.TLSCert == "") != (a.TLSKey == ""):
		k.add("api.tls_cert", a.TLSCert, "certificate and key come together", "证书与私钥须同时设置", "set api.tls_cert and api.tls_key", "请同时设置 api.tls_cert 和 api.tls_key")
	default:
		k.file("api.tls_cert", a.TLSCert)
		k.file("api.tls_key", a.TLSKey)
	}
	k.service("api.public_url", a.PublicURL)
	if a.MaxUploadBytes < 1<<20 {
		k.add("api.max_upload_bytes", a.MaxUploadBytes.String(), "is less than any clip has", "小于任何视频的大小", "write 1MiB or more", "请写 1MiB 或更大")
	}
	if a.MaxUploadBytes > MaxUploadBytes {
		k.add("api.max_upload_bytes", a.MaxUploadBytes.String(), "is more than the decoder takes", "超过解码器可处理的大小", "write "+Bytes(MaxUploadBytes).String()+" or less", "请写不超过 "+Bytes(MaxUploadBytes).String())
	}
	if a.MaxWaiting < 1 {
		k.add("api.max_waiting", strconv.Itoa(a.MaxWaiting), "nothing would be taken", "将无法接收任何提交", "write 1 or more", "请写 1 或更大")
	}
	if s := a.EventSecret.Reveal(); s != "" && len(s) < 16 {
		k.add("api.event_secret", masked, "can be guessed", "容易被猜到", "take 16 characters or more", "请使用 16 个以上字符")
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (k *checker) worker() {
	w := k.c.Worker
	switch w.Core {
	case CoreFull:
	case CoreDecoding, CoreNoop:
		if !k.c.Measure {
			k.add("worker.core", w.Core, "makes verdicts that looked at nothing", "给出的结论未经任何检查", "take full; for measurements set measure: true, too", "请用 full；如用于测量，请同时设置 measure: true")
		}
	default:
		k.add("worker.core", w.Core, "there is no such core", "没有这种核心", "take full, decoding or noop", "请用 full、decoding 或 noop")
	}
	if w.NoopWait < 0 || w.NoopWait > w.AttemptTimeout/2 {
		k.add("worker.noop_wait", w.NoopWait.String(), "is not between 0 and half of worker.attempt_timeout ("+w.AttemptTimeout.String()+")", "不在 0 到 worker.attempt_timeout（"+w.AttemptTimeout.String()+"）的一半之间", "take 1s", "请用 1s")
	}
	if w.Index != IndexMemory && w.Index != IndexDatabase {
		k.add("worker.index", w.Index, "there is no such index", "没有这种索引", "take memory or database", "请用 memory 或 database")
	}
	k.provider()
	if w.Lease >= w.AttemptTimeout {
		k.add("worker.lease", w.Lease.String(), "is not shorter than worker.attempt_timeout ("+w.AttemptTimeout.String()+")", "不短于 worker.attempt_timeout（"+w.AttemptTimeout.String()+"）", "take 5s", "请用 5s")
	}
	if w.AttemptTimeout > maxAttempt {
		k.add("worker.attempt_timeout", w.AttemptTimeout.String(), "is longer than 1h, and what an attempt writes may be swept before it ends", "超过 1h，任务结束前其写入的数据可能被清理",
			"take 2m", "请用 2m")
	}
	if w.DrainTimeout <= 0 {
		k.add("worker.drain_timeout", w.DrainTimeout.String(), "leaves a stopping worker no time for its jobs", "停止时没有时间处理未完成的任务", "take 30s", "请用 30s")
	}
	if w.Lease < minLease {
		k.add("worker.lease", w.Lease.String(), "a busy worker cannot renew it in time", "繁忙时来不及续期", "take 5s", "请用 5s")
	}
	k.listens("worker.listen", w.Listen, "127.0.0.1:8421", "the page has neither TLS nor keys", "该页面没有 TLS 和密钥", "only your monitoring reaches", "只有监控系统可以访问")
}

// listens checks an address that has no TLS.
func (k *checker) listens(key, address, such, lacksEN, lacksZH, whoEN, whoZH string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil || !portOK(port):
		k.add(key, address, "is no address", "不是有效地址", "write host:port, such as "+such, "请写 主机:端口，例如 "+such)
	case !loopback(host) && !k.c.Worker.Insecure:
		k.add(key, address, "other machines reach this address, and "+lacksEN, "其他机器可以访问该地址，而"+lacksZH,
			"set worker.insecure in a network that "+whoEN+", or listen on 127.0.0.1", "若该网络"+whoZH+"，请设置 worker.insecure；或改为监听 127.0.0.1")
	}
}

// provider checks what the settings say about where the models run; whether it can be used there shows when they are loaded.
func (k *checker) provider() {
	w := k.c.Worker
	switch w.Provider {
	case ProviderCPU, "cuda", "tensorrt":
	case "openvino":
		if w.Runtime == "" {
			k.missing("worker.runtime", "names an ONNX Runtime with OpenVINO, which no installed one has", "它指定带有 OpenVINO 的 ONNX Runtime，已安装的版本均不含")
		}
	default:
		k.add("worker.provider", w.Provider, "there is no such provider", "没有这种推理后端", "take cpu, cuda, tensorrt or openvino", "请用 cpu、cuda、tensorrt 或 openvino")
	}
	k.file("worker.runtime", w.Runtime)
	if w.Device < 0 || w.Device > maxDevice {
		k.add("worker.device", strconv.Itoa(w.Device), "is no number of a device", "不是设备编号", "write 0 for the first", "第一个设备请写 0")
	}
	if w.Batch < 0 || w.Batch > maxBatch {
		k.add("worker.batch", strconv.Itoa(w.Batch), "is not between 0 and "+strconv.Itoa(maxBatch), "不在 0 到 "+strconv.Itoa(maxBatch)+" 之间", "take 16", "请用 16")
	}
	if w.BatchDelay < 0 || w.BatchDelay > maxBatchDelay {
		k.add("worker.batch_delay", w.BatchDelay.String(), "is not between 0 and "+maxBatchDelay.String(), "不在 0 到 "+maxBatchDelay.String()+" 之间", "take 2ms", "请用 2ms")
	}
}

// Bounds of the provider's settings: more pictures at once need memory and gain nothing, a longer wait is felt in every job.
const (
	maxDevice     = 63
	maxBatch      = 128
	maxBatchDelay = time.Second
)

func (k *checker) rest() {
	for _, m := range k.c.Intake.MayMap {
		tenant, place, ok := strings.Cut(m, ":")
		if bucket, _, _ := strings.Cut(place, "/"); !ok || tenant == "" || bucket == "" {
			k.add("intake.may_map", m, "is not of the form tenant:bucket or tenant:bucket/prefix", "不是 租户:存储桶 或 租户:存储桶/前缀 的形式", "write acme:cameras/acme/", "请写例如 acme:cameras/acme/")
		}
	}
	switch k.c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		k.add("log.level", k.c.Log.Level, "there is no such level", "没有这个级别", "take debug, info, warn or error", "请用 debug、info、warn 或 error")
	}
	switch k.c.Log.Format {
	case "json", "text":
	default:
		k.add("log.format", k.c.Log.Format, "there is no such form", "没有这种格式", "take json or text", "请用 json 或 text")
	}
	if e := k.c.OTLP.Endpoint; e != "" {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			k.add("otlp.endpoint", e, "is no URL of a collector", "不是采集器地址", "write http://127.0.0.1:4318", "请写 http://127.0.0.1:4318")
		}
	}
}
