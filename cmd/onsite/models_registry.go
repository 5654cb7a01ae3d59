package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
)

// The commands of "onsite models" that speak to a service: what its processes run, and how that changes.

type modelsStatusCmd struct {
	remoteFlags
}

func (c *modelsStatusCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	r, err := service.Registry(ctx)
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(r.Raw)
	}
	rows := [][]string{e.heads("id", "编号", "task", "任务", "name", "名称", "version", "版本", "scope", "范围", "state", "状态", "share", "比例", "runs", "试运行", "same", "相同", "passed", "通过")}
	for _, m := range r.Models {
		share, runs, same := "", "", ""
		if m.Trial != nil {
			share = strconv.FormatFloat(m.Trial.Share, 'g', 3, 64)
		}
		if m.Runs != nil {
			runs, same = strconv.FormatInt(m.Runs.Jobs, 10), strconv.FormatInt(m.Runs.Same, 10)
		}
		rows = append(rows, []string{m.ID, m.Task, m.Name, m.Version, e.say(coded(modelScopes, m.Scope)), e.say(coded(modelStates, m.State)), share, runs, same, e.say(yesNo(m.Passed))})
	}
	if err := columns(e.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("epoch %d; what the program brings along runs wherever no model is active", r.Epoch),
		ZH: fmt.Sprintf("当前批次 %d；未启用其他模型的任务使用程序自带模型", r.Epoch),
	}))
	for _, h := range r.Hosts {
		line := pipeline.Text{EN: fmt.Sprintf("%s (%s): ready for epoch %d", h.Name, h.Role, h.Ready), ZH: fmt.Sprintf("%s（%s）：可运行批次 %d", h.Name, h.Role, h.Ready)}
		if h.Ready < r.Epoch {
			line = pipeline.Text{EN: fmt.Sprintf("%s (%s): NOT ready for epoch %d, it refuses jobs", h.Name, h.Role, r.Epoch), ZH: fmt.Sprintf("%s（%s）：尚不能运行批次 %d，拒绝任务", h.Name, h.Role, r.Epoch)}
		}
		if h.Why != nil {
			line = pipeline.Text{EN: line.EN + ": " + h.Why.Text.EN, ZH: line.ZH + "：" + h.Why.Text.ZH}
		}
		fmt.Fprintln(e.out, e.say(line))
	}
	return nil
}

// openModels opens the service and finds the models of words there; the caller closes the service.
func (f remoteFlags) openModels(ctx context.Context, e *env, words []string) (*client.Client, []client.Model, error) {
	service, err := f.open(e)
	if err != nil {
		return nil, nil, err
	}
	var all []client.Model
	for _, word := range words {
		m, err := registryModel(ctx, service, word)
		if err != nil {
			service.Close()
			return nil, nil, err
		}
		all = append(all, m)
	}
	return service, all, nil
}

// openModel is openModels for one.
func (f remoteFlags) openModel(ctx context.Context, e *env, word string) (*client.Client, client.Model, error) {
	service, all, err := f.openModels(ctx, e, []string{word})
	if err != nil {
		return nil, client.Model{}, err
	}
	return service, all[0], nil
}

// partners are the ids of the models but the first.
func partners(all []client.Model) []string {
	out := []string{}
	for _, m := range all[1:] {
		out = append(out, m.ID)
	}
	return out
}

// registryModel names a model of the registry: by its name, name@version, or id.
func registryModel(ctx context.Context, service *client.Client, word string) (client.Model, error) {
	r, err := service.Registry(ctx)
	if err != nil {
		return client.Model{}, remotely(err)
	}
	name, version, exact := strings.Cut(word, "@")
	var found []client.Model
	var names []string
	for _, m := range r.Models {
		if m.ID == word {
			return m, nil
		}
		names = append(names, m.Name+"@"+m.Version)
		if m.Name == name && (!exact || m.Version == version) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if len(word) == 26 { // an id: of one that is retired
			if m, err := service.Model(ctx, word); err == nil {
				return m, nil
			}
		}
		return client.Model{}, usagef(pipeline.Text{
			EN: fmt.Sprintf("the service has no model %q; it has: %s; send one with \"onsite models upload\"", word, orNone(names)),
			ZH: fmt.Sprintf("服务中没有模型 %q；现有：%s；可用 onsite models upload 上传", word, orNone(names)),
		})
	}
	var en, zh []string
	for _, m := range found {
		scope := coded(modelScopes, m.Scope)
		en, zh = append(en, fmt.Sprintf("%s (%s@%s, %s)", m.ID, m.Name, m.Version, scope.EN)), append(zh, fmt.Sprintf("%s（%s@%s，%s）", m.ID, m.Name, m.Version, scope.ZH))
	}
	return client.Model{}, usagef(pipeline.Text{
		EN: fmt.Sprintf("%q may be one of %d models; write its id: %s", word, len(found), strings.Join(en, ", ")),
		ZH: fmt.Sprintf("%q 对应 %d 个模型；请写编号：%s", word, len(found), strings.Join(zh, "、")),
	})
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

type modelsUploadCmd struct {
	Manifest []string `arg:"" help:"The model's manifest, with its files beside it; or the name of a model of this machine (onsite models list). Several: models that belong together." placeholder:"model.yaml"`
	Tenant   bool     `help:"Only for the key's own tenant; else for the whole installation."`
	remoteFlags
}

func (c *modelsUploadCmd) Run(ctx context.Context, e *env) error {
	for _, name := range c.Manifest {
		if err := c.upload(ctx, e, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *modelsUploadCmd) upload(ctx context.Context, e *env, name string) error {
	raw, files, err := c.read(name)
	if err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	scope := "installation"
	if c.Tenant {
		scope = "tenant"
	}
	bar := newProgress(e)
	defer bar.close()
	sending := e.say(pipeline.Text{EN: "sending (KB)", ZH: "正在发送（KB）"})
	m, err := service.AddModel(ctx, scope, raw, files, func(sent, total int64) { bar.show(int(total>>10), int(sent>>10), sending) })
	bar.close()
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(m)
	}
	if m.State != "checked" {
		return notChecked(m)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("model %s %s (%s) is added and checked; next: onsite models shadow %s --share 0.2", m.Name, m.Version, m.Task, m.Name),
		ZH: fmt.Sprintf("模型 %s %s（%s）已添加并通过检查；下一步：onsite models shadow %s --share 0.2", m.Name, m.Version, m.Task, m.Name),
	}))
	return nil
}

// notChecked says why a model that was sent is not run.
func notChecked(m client.Model) error {
	why := pipeline.Text{EN: "it was not examined; see GET /v1/registry/models/" + m.ID, ZH: "尚未检查；见 GET /v1/registry/models/" + m.ID}
	var x models.Examination
	if json.Unmarshal(m.Check, &x) == nil && len(x.Faults) > 0 {
		why = (&faultError{name: m.Name, faults: x.Faults}).text()
	}
	return &remoteError{code: exitRefused, rule: "model_refused", text: pipeline.Text{
		EN: fmt.Sprintf("model %s %s was sent and kept, and the service does not run it: %s", m.Name, m.Version, why.EN),
		ZH: fmt.Sprintf("模型 %s %s 已上传并保存，但服务不会运行：%s", m.Name, m.Version, why.ZH),
	}}
}

// read finds manifest and files.
func (c *modelsUploadCmd) read(name string) ([]byte, []client.File, error) {
	man, err := readModel(name)
	if err != nil {
		return nil, nil, err
	}
	raw, err := man.Text()
	if err == nil && filepath.Ext(name) == ".yaml" {
		raw, err = pipeline.ReadFile(man.Origin(), manifest.MaxBytes) // as it was written: comments are part of it
	}
	if err != nil {
		return nil, nil, pathError("MANIFEST", name, err, "name a model's manifest", "请指定模型清单")
	}
	var files []client.File
	for _, f := range man.Files() {
		path := man.Path(f, models.DefaultOptions().Dir)
		if _, err := os.Stat(path); err != nil {
			return nil, nil, pathError("MANIFEST", path, err, "put the files beside the manifest, under the names that it gives them", "请将文件放在清单旁，并使用清单中的文件名")
		}
		files = append(files, client.File{Name: f.Name, Path: path})
	}
	return raw, files, nil
}

// pollFor is how long one long poll waits: no longer than a progress bar may stand still.
const pollFor = 2 * time.Second

// epochWait is how long a command waits for an epoch: processes fetch and load models meanwhile.
const epochWait = 10 * time.Minute

// awaitEpoch waits until an epoch is active, and says why it failed.
func awaitEpoch(ctx context.Context, e *env, service *client.Client, number int64) error {
	bar := newProgress(e)
	defer bar.close()
	for until := time.Now().Add(epochWait); time.Now().Before(until); {
		x, err := service.Epoch(ctx, number, pollFor)
		if err != nil {
			return remotely(err)
		}
		switch x.State {
		case "active", "past":
			return nil
		case "failed":
			return epochFailed(x.Epoch)
		}
		bar.show(x.Hosts, x.Ready, e.say(pipeline.Text{EN: "processes that have the models", ZH: "已加载模型的进程"}))
	}
	return &remoteError{code: exitOther, rule: "staging", text: pipeline.Text{
		EN: fmt.Sprintf("epoch %d is still being staged; onsite models status shows which process lacks it", number),
		ZH: fmt.Sprintf("批次 %d 仍在准备中；可用 onsite models status 查看缺少它的进程", number),
	}}
}

func epochFailed(x client.Epoch) error {
	text := pipeline.Text{EN: fmt.Sprintf("epoch %d failed, and nothing has changed", x.Number), ZH: fmt.Sprintf("批次 %d 失败，未作任何更改", x.Number)}
	if x.Why != nil {
		text.EN, text.ZH = text.EN+": "+x.Why.Text.EN, text.ZH+"："+x.Why.Text.ZH
	}
	return &remoteError{code: exitOther, rule: "epoch_failed", text: text}
}

// change asks for a change of models and waits until it is in effect; the first model is the one that it is named by.
func change(ctx context.Context, e *env, f remoteFlags, words []string, act string, body map[string]any, done func(client.ModelChange) pipeline.Text) error {
	service, all, err := f.openModels(ctx, e, words)
	if err != nil {
		return err
	}
	defer service.Close()
	var asked any
	if body != nil {
		body["with"] = partners(all)
		asked = body
	}
	changed, err := service.ModelAct(ctx, all[0].ID, act, asked)
	if err != nil {
		return remotely(err)
	}
	if changed.Epoch.State == "staging" {
		if err := awaitEpoch(ctx, e, service, changed.Epoch.Number); err != nil {
			return err
		}
		changed.Epoch.State = "active"
	}
	if f.JSON {
		return e.printJSON(changed)
	}
	fmt.Fprintln(e.out, e.say(done(changed)))
	return nil
}
