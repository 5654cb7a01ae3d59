package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"onsite/cmd/onsite/config"
	"onsite/pipeline"
	"onsite/results/vault"
	"onsite/workers/queue"
)

// Finding is what Diagnose says about one thing that the configuration names.
type Finding struct {
	What  pipeline.Text
	OK    bool
	Found pipeline.Text
	Fix   pipeline.Text
}

// diagnoseTimeout bounds each question to a service.
const diagnoseTimeout = 5 * time.Second

// Diagnose asks every service that the configuration names whether it can be used, and changes nothing. What serve would make at its first
// start and is not there yet is no fault.
func Diagnose(ctx context.Context, c config.Config) []Finding {
	silent := slog.New(slog.DiscardHandler)
	b := &base{cfg: c.InData(), log: silent}
	defer b.Close()
	ask := func(what, zh string, found func(ctx context.Context) (pipeline.Text, error)) Finding {
		ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
		defer cancel()
		text, err := found(ctx)
		f := Finding{What: pipeline.Text{EN: what, ZH: zh}, OK: err == nil, Found: text}
		var known *Fault
		switch {
		case errors.As(err, &known):
			f.Found, f.Fix = pipeline.Text{EN: "cannot be used", ZH: "无法使用"}, known.Text
		case err != nil:
			f.Found, f.Fix = plain(err.Error()), pipeline.Text{EN: "check the settings, and that it is running", ZH: "请检查设置，并确认其正在运行"}
		}
		return f
	}
	return []Finding{ask("results store", "结果库", b.askStore), ask("key-encryption key", "密钥加密密钥", b.askKEK), ask("objects", "对象存储", b.askObjects), ask("Redis", "Redis", b.askRedis)}
}

func plain(text string) pipeline.Text { return pipeline.Text{EN: text, ZH: text} }

func notYet(path string) pipeline.Text {
	return pipeline.Text{EN: "not made yet: serve does it at its first start (" + path + ")", ZH: "尚未创建：serve 首次启动时会创建（" + path + "）"}
}

// absent says that a file of serve is not there yet.
func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func (b *base) askStore(ctx context.Context) (pipeline.Text, error) {
	path := b.cfg.Store.SQLite
	if path != "" && absent(path) {
		return notYet(path), nil
	}
	s, err := OpenStore(ctx, b.cfg, b.log, AnyTables)
	if err != nil {
		return pipeline.Text{}, err
	}
	defer s.Close()
	current, known, err := s.Version(ctx)
	if err != nil {
		return pipeline.Text{}, err
	}
	where := b.cfg.Store.Postgres.String() + path
	if current > known || current < known && path == "" {
		return pipeline.Text{}, fault(nil,
			fmt.Sprintf("%s: its tables are at version %d and this program wants %d; run \"onsite migrate up\", or the newer program", where, current, known),
			fmt.Sprintf("%s：表版本为 %d，本程序需要 %d；请运行 onsite migrate up，或使用新版程序", where, current, known))
	}
	return pipeline.Text{EN: fmt.Sprintf("%s, tables at version %d", where, current), ZH: fmt.Sprintf("%s，表版本 %d", where, current)}, nil
}

func (b *base) askKEK(context.Context) (pipeline.Text, error) {
	c := b.cfg.KEK
	if !c.Text.Empty() {
		k, err := vault.KEKFromEnv(c.Text.Reveal())
		if err != nil {
			return pipeline.Text{}, kekFault("", err)
		}
		return plain(k.String()), nil
	}
	if absent(c.File) && b.cfg.Given("kek.file") == "" && absent(b.cfg.Store.SQLite) {
		return notYet(c.File), nil
	}
	k, err := vault.LoadKEK(c.File)
	if err != nil {
		return pipeline.Text{}, kekFault(c.File, err)
	}
	return pipeline.Text{EN: k.String() + " in " + c.File, ZH: k.String() + "（" + c.File + "）"}, nil
}

func (b *base) askObjects(ctx context.Context) (pipeline.Text, error) {
	dir := b.cfg.Objects.Dir
	if dir != "" && absent(dir) {
		return notYet(dir), nil
	}
	if err := b.openObjects(); err != nil {
		return pipeline.Text{}, err
	}
	if err := b.objects.Ping(ctx); err != nil {
		return pipeline.Text{}, err
	}
	if dir != "" {
		return plain(dir), nil
	}
	return plain(b.cfg.Objects.S3.Endpoint + "/" + b.cfg.Objects.S3.Bucket), nil
}

func (b *base) askRedis(ctx context.Context) (pipeline.Text, error) {
	if b.cfg.PrivateRedis() {
		path, err := exec.LookPath("redis-server")
		if err != nil {
			return pipeline.Text{}, fault(err,
				"redis-server was not found on the PATH, and serve starts one; install it (Debian: apt-get install redis-server), or name a Redis under redis",
				"在 PATH 中找不到 redis-server，而 serve 需要启动它；请安装（Debian：apt-get install redis-server），或在 redis 下指定已有的 Redis")
		}
		version, err := exec.CommandContext(ctx, path, "--version").Output() //nolint:gosec // found on the PATH
		if err != nil {
			return pipeline.Text{}, err
		}
		return plain(path + ": " + strings.TrimSpace(string(version))), nil
	}
	o, err := redisOptions(b.cfg.Redis)
	if err != nil {
		return pipeline.Text{}, err
	}
	q, err := queue.Open(o, b.log)
	if err != nil {
		return pipeline.Text{}, queueFault(err)
	}
	defer q.Close()
	if err := q.Check(ctx); err != nil {
		return pipeline.Text{}, queueFault(err)
	}
	switch r := b.cfg.Redis; {
	case !r.URL.Empty():
		return plain(r.URL.String()), nil
	case r.Socket != "":
		return plain(r.Socket), nil
	case len(r.Cluster.Addresses) > 0:
		return plain("cluster " + strings.Join(r.Cluster.Addresses, ",")), nil
	default:
		return plain("Sentinel " + strings.Join(r.Sentinel.Addresses, ",") + " " + r.Sentinel.Master), nil
	}
}
