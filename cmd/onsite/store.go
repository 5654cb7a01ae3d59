package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/database"
	"onsite/results/vault"
)

// storeSettings finds the results store: the configured one, or that in the data folder of serve.
type storeSettings struct {
	settings `embed:""`
	Data     string `help:"The data folder of \"onsite serve\", where no store is configured. Default: onsite-data." placeholder:"DIR"`
}

func (s storeSettings) load() (config.Config, error) {
	c, err := s.settings.load(map[string]string{"data": s.Data})
	if err != nil {
		return c, err
	}
	named := c.Store.SQLite != "" || !c.Store.Postgres.Empty()
	c = c.InData()
	if err := c.Check(config.RoleStore); err != nil {
		return c, err
	}
	if _, err := os.Stat(c.Store.SQLite); !named && errors.Is(err, fs.ErrNotExist) {
		return c, usagef(pipeline.Text{
			EN: fmt.Sprintf("there is no results store at %s; name the data folder of `onsite serve` with --data, or the store with ONSITE_STORE_POSTGRES or store.postgres", c.Store.SQLite),
			ZH: fmt.Sprintf("%s 处没有结果库；请用 --data 指定 onsite serve 的数据文件夹，或用 ONSITE_STORE_POSTGRES 或 store.postgres 指定结果库", c.Store.SQLite),
		})
	}
	return c, nil
}

// with opens the store for one command.
func (s storeSettings) with(ctx context.Context, e *env, t service.Tables, do func(*database.Store) error) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	store, err := service.OpenStore(ctx, c, service.NewLog(e.err, config.Log{Level: "warn", Format: "text"}), t)
	if err != nil {
		return err
	}
	return errors.Join(do(store), store.Close())
}

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the tables to what this program knows. Several may do it at once."`
	Status migrateStatusCmd `cmd:"" help:"Say which version the tables have."`
}

type migrateUpCmd struct {
	storeSettings `embed:""`
	JSON          bool `help:"Print JSON."`
}

func (c *migrateUpCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.MoveTables, func(s *database.Store) error { return e.tables(ctx, s, c.JSON) })
}

type migrateStatusCmd struct {
	storeSettings `embed:""`
	JSON          bool `help:"Print JSON."`
}

func (c *migrateStatusCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.AnyTables, func(s *database.Store) error { return e.tables(ctx, s, c.JSON) })
}

func (e *env) tables(ctx context.Context, s *database.Store, asJSON bool) error {
	current, known, err := s.Version(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the tables: %w", err)
	}
	if asJSON {
		return e.printJSON(map[string]any{"current": current, "known": known, "up_to_date": current == known})
	}
	state := pipeline.Text{EN: "up to date", ZH: "已是最新"}
	switch {
	case current < known:
		state = pipeline.Text{EN: "run `onsite migrate up`", ZH: "请运行 `onsite migrate up`"}
	case current > known:
		state = pipeline.Text{EN: "newer than this program: use the newer program", ZH: "比本程序新：请使用新版程序"}
	}
	_, err = fmt.Fprintf(e.out, "%s %d/%d: %s\n", e.say(pipeline.Text{EN: "tables at version", ZH: "表版本"}), current, known, e.say(state))
	return err
}

type tenantCmd struct {
	Add  tenantAddCmd  `cmd:"" help:"Add a tenant."`
	List tenantListCmd `cmd:"" help:"List the tenants."`
}

type tenantAddCmd struct {
	storeSettings `embed:""`
	ID            string `arg:"" help:"Id: a-z, 0-9 and -, 63 characters at most."`
	Name          string `help:"Name for people."`
	JSON          bool   `help:"Print JSON."`
}

func (c *tenantAddCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		t, err := service.AddTenant(ctx, s, c.ID, c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.printJSON(tenantRow{t.ID, t.Name, t.CreatedAt})
		}
		_, err = fmt.Fprintln(e.out, t.ID)
		return err
	})
}

type tenantRow struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

type tenantListCmd struct {
	storeSettings `embed:""`
	JSON          bool `help:"Print JSON."`
}

func (c *tenantListCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		all, err := s.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("list the tenants: %w", err)
		}
		rows := make([]tenantRow, len(all))
		for i, t := range all {
			rows[i] = tenantRow{t.ID, t.Name, t.CreatedAt}
		}
		if c.JSON {
			return e.printJSON(map[string]any{"tenants": rows})
		}
		t := newSheet(e)
		t.data("%s", strings.Join(e.heads("tenant", "租户", "made", "创建时间", "name", "名称"), "\t"))
		for _, r := range rows {
			t.data("%s\t%s\t%s", r.ID, r.CreatedAt.Format(time.RFC3339), r.Name)
		}
		return t.Flush()
	})
}

type keyCmd struct {
	Add    keyAddCmd    `cmd:"" help:"Add an API key and print it, once."`
	List   keyListCmd   `cmd:"" help:"List a tenant's API keys."`
	Revoke keyRevokeCmd `cmd:"" help:"Revoke an API key. Running API processes notice within seconds."`
}

type keyAddCmd struct {
	storeSettings `embed:""`
	Tenant        string        `help:"The tenant." default:"default"`
	Role          []string      `help:"What the key may do: submit, read, notice, investigate, audit, models, admin. May be given several times." required:"" enum:"submit,read,notice,investigate,audit,models,admin"`
	Name          string        `help:"Name for people."`
	Expires       time.Duration `help:"How long it holds, such as 720h. Default: until it is revoked."`
	JSON          bool          `help:"Print JSON."`
}

func (c *keyAddCmd) Run(ctx context.Context, e *env) error {
	if c.Expires < 0 {
		return usagef(pipeline.Text{EN: "--expires: the time is over already; give one such as 720h", ZH: "--expires：该时间已过；请给出例如 720h 的时长"})
	}
	roles := make([]results.Role, len(c.Role))
	for i, r := range c.Role {
		roles[i] = results.Role(r)
	}
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		text, key, err := service.AddKey(ctx, s, c.Tenant, c.Name, roles, c.Expires)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.printJSON(map[string]any{"id": key.ID, "tenant": key.Tenant, "roles": key.Roles, "key": text})
		}
		_, err = fmt.Fprintln(e.out, text)
		return err
	})
}

type keyRow struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Roles   []results.Role `json:"roles"`
	State   string         `json:"state"` // valid, expired, revoked
	Created time.Time      `json:"created_at"`
}

type keyListCmd struct {
	storeSettings `embed:""`
	Tenant        string `help:"The tenant." default:"default"`
	JSON          bool   `help:"Print JSON."`
}

func (c *keyListCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		keys, err := s.Keys(ctx, c.Tenant)
		if err != nil {
			return fmt.Errorf("list the keys of tenant %s: %w", c.Tenant, err)
		}
		rows := make([]keyRow, len(keys))
		for i, k := range keys {
			rows[i] = keyRow{k.ID, k.Name, k.Roles, "valid", k.CreatedAt}
			switch {
			case !k.RevokedAt.IsZero():
				rows[i].State = "revoked"
			case !k.ExpiresAt.IsZero() && !s.Now().Before(k.ExpiresAt):
				rows[i].State = "expired"
			}
		}
		if c.JSON {
			return e.printJSON(map[string]any{"tenant": c.Tenant, "keys": rows})
		}
		t := newSheet(e)
		t.data("%s", strings.Join(e.heads("key", "密钥", "state", "状态", "roles", "角色", "made", "创建时间", "name", "名称"), "\t"))
		for _, r := range rows {
			roles := make([]string, len(r.Roles))
			for i, role := range r.Roles {
				roles[i] = string(role)
			}
			t.data("%s\t%s\t%s\t%s\t%s", r.ID, e.say(coded(keyStates, r.State)), strings.Join(roles, ","), r.Created.Format(time.RFC3339), r.Name)
		}
		return t.Flush()
	})
}

type keyRevokeCmd struct {
	storeSettings `embed:""`
	ID            string `arg:"" help:"The id: what stands between the first and the second _ of the key."`
	Tenant        string `help:"The tenant." default:"default"`
	JSON          bool   `help:"Print JSON."`
}

func (c *keyRevokeCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		switch err := s.RevokeKey(ctx, c.Tenant, c.ID, s.Now(), service.ByOperator(s, c.Tenant, "key.revoked")); {
		case errors.Is(err, results.ErrNotFound):
			return usagef(pipeline.Text{
				EN: fmt.Sprintf("tenant %s has no key %s; `onsite key list --tenant %s` shows them", c.Tenant, c.ID, c.Tenant),
				ZH: fmt.Sprintf("租户 %s 没有密钥 %s；可用 `onsite key list --tenant %s` 查看", c.Tenant, c.ID, c.Tenant),
			})
		case err != nil:
			return fmt.Errorf("revoke key %s of tenant %s: %w", c.ID, c.Tenant, err)
		}
		if c.JSON {
			return e.printJSON(map[string]any{"tenant": c.Tenant, "id": c.ID, "state": "revoked"})
		}
		return nil
	})
}

type kekCmd struct {
	New kekNewCmd `cmd:"" help:"Write a fresh key-encryption key to a file that only its owner can read."`
}

type kekNewCmd struct {
	File string `arg:"" help:"File to write; one that is there is not touched."`
	JSON bool   `help:"Print JSON."`
}

func (c *kekNewCmd) Run(e *env) error {
	if _, err := vault.NewKEK(c.File); err != nil {
		return pathError("FILE", c.File, err, "name a file that is not there yet, in a folder that can be written", "请指定一个尚不存在、且所在文件夹可写的文件")
	}
	if c.JSON {
		return e.printJSON(map[string]any{"file": c.File})
	}
	_, err := fmt.Fprintln(e.err, e.say(pipeline.Text{
		EN: "Keep a copy of it in a safe place: without it nothing that is stored can be read.",
		ZH: "请在安全的地方另存一份：没有它，已存储的数据将无法读取。",
	}))
	return err
}
