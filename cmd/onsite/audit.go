package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onsite/cmd/onsite/config"
	"onsite/cmd/onsite/service"
	"onsite/pipeline"
	"onsite/results"
	"onsite/results/audit"
	"onsite/results/database"
)

// auditCmd works on the audit log, straight in the results store: whoever checks it must not have to trust the service.
type auditCmd struct {
	Verify     auditVerifyCmd     `cmd:"" help:"Check the log, the store and the files against each other, and name whatever was changed."`
	Key        auditKeyCmd        `cmd:"" help:"Print the public key of a tenant's log: what auditors pin."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Print the newest signed head of a tenant's log."`
}

type auditVerifyCmd struct {
	storeSettings `embed:""`
	Tenant        string   `help:"Only this tenant. Default: all."`
	Key           *string  `help:"Public key of the log as you know it (\"onsite audit key\"). Without it the store's own word is taken." placeholder:"PUB"`
	Witness       []string `help:"Checkpoints that were kept elsewhere: a file, or the folder of audit.witness_dir. May be given again." placeholder:"PATH"`
	Files         bool     `help:"Also open every stored file; needs the key-encryption key." default:"true" negatable:""`
	JSON          bool     `help:"Print JSON."`
}

// errNotIntact ends a verification that found something.
type errNotIntact struct{ n int }

func (e *errNotIntact) Error() string { return e.Text().EN }

// Text is the error in words.
func (e *errNotIntact) Text() pipeline.Text {
	return pipeline.Text{EN: fmt.Sprintf("%d things do not agree", e.n), ZH: fmt.Sprintf("有 %d 处不一致", e.n)}
}

// pinned is a log's public key as it was given; "": none was. One that was given and is empty, as by a command that failed, is not taken for none, and a mistyped
// one accuses no log or package.
func pinned(key *string) (string, error) {
	if key == nil {
		return "", nil
	}
	text := strings.TrimSpace(*key)
	if text == "" {
		return "", usagef(pipeline.Text{EN: "--key is empty: give the log's public key (\"onsite audit key\" prints it), or leave --key out", ZH: "--key 为空：请给出日志的公钥（可用 onsite audit key 取得），或去掉 --key"})
	}
	if _, err := audit.ReadKey(text); err != nil {
		return "", usagef(pipeline.Text{EN: fmt.Sprintf("--key: %v; take the line that \"onsite audit key\" prints, whole", err), ZH: fmt.Sprintf("--key：%q 不是审计日志的公钥（名称+哈希+base64）；请完整复制 onsite audit key 输出的一行", text)})
	}
	return text, nil
}

func (c *auditVerifyCmd) Run(ctx context.Context, e *env) error {
	key, err := pinned(c.Key)
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if key != "" && c.Tenant == "" {
		return usagef(pipeline.Text{EN: "--key is the key of one tenant's log: name the tenant with --tenant", ZH: "--key 是某个租户日志的公钥：请用 --tenant 指定租户"})
	}
	if key != "" {
		if err := audit.CheckKey(key, c.Tenant); err != nil {
			return usagef(pipeline.Text{EN: "--key: " + err.Error(), ZH: "--key 不是该租户审计日志的公钥；请用 onsite audit key 取得"})
		}
	}
	i, err := service.OpenInspector(ctx, cfg, service.NewLog(e.err, config.Log{Level: "warn", Format: "text"}), c.Files)
	if err != nil {
		return err
	}
	defer i.Close()
	tenants := []string{c.Tenant}
	if c.Tenant == "" {
		all, err := i.Store.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("list the tenants: %w", err)
		}
		tenants = tenants[:0]
		for _, t := range all {
			tenants = append(tenants, t.ID)
		}
	} else if _, err := i.Store.Tenant(ctx, c.Tenant); errors.Is(err, results.ErrNotFound) {
		return usagef(pipeline.Text{EN: "there is no tenant " + c.Tenant, ZH: "没有租户 " + c.Tenant})
	}
	reports, found := []*auditTenant{}, 0
	for _, tenant := range tenants {
		r, err := c.tenant(ctx, e, i, tenant, key)
		if err != nil {
			return fmt.Errorf("verify the audit log of tenant %s: %w", tenant, err)
		}
		reports = append(reports, r)
		found += len(r.Findings) + r.More
	}
	if c.JSON {
		err = e.printJSON(map[string]any{"intact": found == 0, "tenants": reports})
	} else {
		for _, r := range reports {
			e.auditReport(r)
		}
	}
	if err == nil && found > 0 {
		err = &errNotIntact{found}
	}
	return err
}

func (c *auditVerifyCmd) tenant(ctx context.Context, e *env, i *service.Inspector, tenant, key string) (*auditTenant, error) {
	notes, err := c.notes(ctx, i, tenant)
	if err != nil {
		return nil, err
	}
	report, err := audit.Inspect(ctx, i.Store, tenant, audit.Options{Public: key, Witness: notes})
	r := &auditTenant{report, len(notes), c.Files}
	if err != nil || !c.Files {
		return r, err
	}
	bar := newProgress(e)
	defer bar.close()
	say := e.say(pipeline.Text{EN: "files of " + tenant, ZH: tenant + " 的文件"})
	return r, r.Files(ctx, i.Store, i, func(n int) { bar.show(-1, n, say) })
}

// auditTenant is a report, and how many checkpoints from elsewhere it was compared with.
type auditTenant struct {
	*audit.Report
	Witnessed int  `json:"witnessed"`
	AllFiles  bool `json:"files"` // stored files were opened, and what rests on them compared
}

// notes reads the checkpoints from elsewhere that are of this tenant.
func (c *auditVerifyCmd) notes(ctx context.Context, i *service.Inspector, tenant string) (all []string, err error) {
	for _, path := range c.Witness {
		info, err := os.Stat(path)
		if err != nil {
			return nil, usagef(pipeline.Text{EN: fmt.Sprintf("--witness %s: %v", path, err), ZH: fmt.Sprintf("--witness %s：%v", path, err)})
		}
		if info.IsDir() {
			some, err := i.Witnesses(ctx, filepath.Clean(path), tenant)
			var fault *service.Fault
			if errors.As(err, &fault) { // the folder that was named, not the service
				return nil, &usageError{err: err, text: pipeline.Text{EN: "--witness: " + fault.Text.EN, ZH: "--witness：" + fault.Text.ZH}}
			}
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
			continue
		}
		raw, err := pipeline.ReadFile(path, 64<<10)
		if err != nil {
			return nil, err
		}
		if h, err := audit.ParseHead(string(raw)); err != nil || h.Origin == audit.Origin(tenant) || c.Tenant != "" {
			all = append(all, string(raw))
		}
	}
	return all, nil
}

func (e *env) auditReport(r *auditTenant) {
	signer := pipeline.Text{EN: "key not pinned: give --key", ZH: "公钥未固定：请给出 --key"}
	switch {
	case r.Key == "":
		signer = pipeline.Text{EN: "no key yet", ZH: "尚无密钥"}
	case r.Pinned:
		signer = pipeline.Text{EN: "key as given", ZH: "公钥与给出的一致"}
	}
	state := pipeline.Text{EN: "intact", ZH: "完好"}
	if !r.Intact() {
		state = pipeline.Text{EN: "NOT INTACT", ZH: "不完好"}
	}
	fmt.Fprintf(e.out, "%s: %s\n", r.Tenant, e.say(state))
	fmt.Fprintf(e.out, "  %s\n", e.say(pipeline.Text{
		EN: fmt.Sprintf("log: %d entries (%d of erased subjects, %d waiting), root %s; %d checkpoints, %d of them from witnesses, %s", r.Entries, r.Hidden, r.Waiting, r.Root, r.Checkpoints, r.Witnessed, signer.EN),
		ZH: fmt.Sprintf("日志：%d 条记录（已删除人员 %d 条，等待中 %d 条），根 %s；%d 个检查点（其中 %d 个来自见证），%s", r.Entries, r.Hidden, r.Waiting, r.Root, r.Checkpoints, r.Witnessed, signer.ZH),
	}))
	fmt.Fprintf(e.out, "  %s\n", e.say(pipeline.Text{
		EN: fmt.Sprintf("compared with it: %d verdicts (%d of erased subjects not), %d other rows (%d that an earlier program logged not), %d files", r.Verdicts, r.Erased, r.Documents, r.Unlogged, r.Objects),
		ZH: fmt.Sprintf("已比对：%d 份结论（已删除人员的 %d 份除外），%d 行其他数据（旧版程序记录的 %d 行除外），%d 个文件", r.Verdicts, r.Erased, r.Documents, r.Unlogged, r.Objects),
	}))
	if !r.AllFiles {
		fmt.Fprintf(e.out, "  %s\n", e.say(pipeline.Text{
			EN: "--no-files: stored files, and the rows of submissions, keyframes and fingerprints, were not looked at", ZH: "--no-files：未检查存储的文件，以及提交、关键帧和指纹的数据行",
		}))
	}
	if r.Untimed > 0 {
		fmt.Fprintf(e.out, "  %s\n", e.say(pipeline.Text{
			EN: fmt.Sprintf("%d missing files could not be held against a time: an earlier program logged a change of settings without the days", r.Untimed),
			ZH: fmt.Sprintf("%d 个缺失的文件无法核对是否已到期：旧版程序记录设置变更时未写明保留天数", r.Untimed),
		}))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(e.out, "  ! %s: %s\n", f.Rule, e.say(f.Text))
	}
	if r.More > 0 {
		fmt.Fprintf(e.out, "  ! %s\n", e.say(pipeline.Text{EN: fmt.Sprintf("and %d more", r.More), ZH: fmt.Sprintf("另有 %d 处", r.More)}))
	}
}

type auditKeyCmd struct {
	storeSettings `embed:""`
	Tenant        string `help:"The tenant." default:"default"`
	JSON          bool   `help:"Print JSON."`
}

func (c *auditKeyCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		k, err := s.LogKey(ctx, c.Tenant)
		if err != nil {
			return unsigned(err, c.Tenant)
		}
		if c.JSON {
			return e.printJSON(map[string]any{"tenant": k.Tenant, "key": k.Public, "created_at": k.CreatedAt})
		}
		_, err = fmt.Fprintln(e.out, k.Public)
		return err
	})
}

type auditCheckpointCmd struct {
	storeSettings `embed:""`
	Tenant        string `help:"The tenant." default:"default"`
	JSON          bool   `help:"Print JSON."`
}

func (c *auditCheckpointCmd) Run(ctx context.Context, e *env) error {
	return c.with(ctx, e, service.CheckTables, func(s *database.Store) error {
		p, err := s.Checkpoint(ctx, c.Tenant, 0)
		if err != nil {
			return unsigned(err, c.Tenant)
		}
		if c.JSON {
			return e.printJSON(map[string]any{"tenant": p.Tenant, "size": p.Size, "note": p.Note, "at": p.At})
		}
		_, err = fmt.Fprint(e.out, p.Note)
		return err
	})
}

// unsigned says in words that a log has nothing to show yet.
func unsigned(err error, tenant string) error {
	if !errors.Is(err, results.ErrNotFound) {
		return err
	}
	return usagef(pipeline.Text{
		EN: fmt.Sprintf("the audit log of tenant %q has no signed head yet (or there is no such tenant); a running worker signs it within seconds of its first entry", tenant),
		ZH: fmt.Sprintf("租户 %q 的审计日志尚无签名（或没有该租户）；运行中的 worker 会在第一条记录后几秒内签名", tenant),
	})
}
