package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/pipeline"
)

// settings is what commands that read the configuration have in common.
type settings struct {
	Config string   `help:"YAML file with settings; docs/operations.md lists them." placeholder:"FILE"`
	Set    []string `help:"One setting, such as worker.concurrency=4. May be given several times. Secrets are refused here." placeholder:"KEY=VALUE" sep:"none"`
}

// load reads the configuration. named are settings that have a flag of their own; empty ones were not given.
func (s settings) load(named map[string]string) (config.Config, error) {
	src := config.Source{File: s.Config, Environ: os.Environ(), Flags: map[string]string{}, FlagNames: map[string]string{}}
	for _, kv := range s.Set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return config.Config{}, usagef(pipeline.Text{
				EN: fmt.Sprintf("--set %s: no value; write --set KEY=VALUE", kv),
				ZH: fmt.Sprintf("--set %s：没有值；请写 --set KEY=VALUE", kv),
			})
		}
		src.Flags[key] = value
	}
	for key, value := range named {
		if value != "" {
			src.Flags[key], src.FlagNames[key] = value, "--"+key[strings.LastIndexByte(key, '.')+1:]
		}
	}
	return config.Load(src)
}

// run starts a role and keeps it until it is asked to stop.
func (s settings) run(ctx context.Context, e *env, role config.Role, named map[string]string, asJSON bool) error {
	c, err := s.load(named)
	if role == config.RoleServe {
		c = c.InData()
	}
	if err := config.Join(err, c.Check(role)); err != nil {
		return err
	}
	syscall.Umask(0o077) // whatever is made is for this user alone
	log := service.NewLog(e.err, c.Log)
	slog.SetDefault(log) // for libraries that know no other
	return service.Run(ctx, role, c, service.Options{
		Log:   log,
		Ready: func(r service.Ready) { e.ready(r, role, asJSON) },
	})
}

// ready tells people and scripts where the service is. The first admin key is shown on a terminal alone: elsewhere it would stay in a log.
func (e *env) ready(r service.Ready, role config.Role, asJSON bool) {
	if asJSON {
		_ = e.printJSON(map[string]any{"role": role, "url": r.URL, "admin_key_file": r.KeyFile})
		return
	}
	if r.URL != "" {
		fmt.Fprintf(e.out, "%s %s\n", e.say(pipeline.Text{EN: "onsite: listening on", ZH: "onsite：正在监听"}), r.URL)
	}
	if r.KeyFile != "" {
		fmt.Fprintf(e.out, "%s %s\n", e.say(pipeline.Text{EN: "onsite: the admin key of tenant " + service.FirstTenant + " is in", ZH: "onsite：租户 " + service.FirstTenant + " 的管理密钥保存在"}), r.KeyFile)
	}
	if r.FirstKey != "" && isTerminal(e.out) {
		fmt.Fprintf(e.out, "%s %s\n", e.say(pipeline.Text{EN: "onsite: first admin key:", ZH: "onsite：首个管理密钥："}), r.FirstKey)
	}
}

type serveCmd struct {
	settings `embed:""`
	Data     string `help:"Folder for everything: database, objects, Redis, keys. Made when it is not there. Default: onsite-data." placeholder:"DIR"`
	Listen   string `help:"Address; port 0 takes a free one. Default: 127.0.0.1:8420." placeholder:"HOST:PORT"`
	Insecure bool   `help:"Listen on an address that others reach without TLS, behind a proxy that has it."`
	JSON     bool   `help:"Print where the service is as JSON."`
}

func (c *serveCmd) Run(ctx context.Context, e *env) error {
	named := map[string]string{"data": c.Data, "api.listen": c.Listen}
	if c.Insecure {
		named["api.insecure"] = "true"
	}
	return c.run(ctx, e, config.RoleServe, named, c.JSON)
}

type apiCmd struct {
	settings `embed:""`
	Listen   string `help:"Address; port 0 takes a free one. Default: 127.0.0.1:8420." placeholder:"HOST:PORT"`
	Insecure bool   `help:"Listen on an address that others reach without TLS, behind a proxy that has it."`
	JSON     bool   `help:"Print where the API is as JSON."`
}

func (c *apiCmd) Run(ctx context.Context, e *env) error {
	named := map[string]string{"api.listen": c.Listen}
	if c.Insecure {
		named["api.insecure"] = "true"
	}
	return c.run(ctx, e, config.RoleAPI, named, c.JSON)
}

type workerCmd struct {
	settings    `embed:""`
	Concurrency int  `help:"Jobs at a time. Default: one per core."`
	JSON        bool `help:"Print that the worker is ready as JSON."`
}

func (c *workerCmd) Run(ctx context.Context, e *env) error {
	named := map[string]string{}
	if c.Concurrency != 0 {
		named["worker.concurrency"] = fmt.Sprint(c.Concurrency)
	}
	return c.run(ctx, e, config.RoleWorker, named, c.JSON)
}
