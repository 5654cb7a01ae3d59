package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"onsite/models"
	"onsite/models/manifest"
	"onsite/pipeline"
)

// modelFlag chooses models for one command.
type modelFlag struct {
	Model []string `help:"Use this model for its task: a name (onsite models list), TASK=NAME, or the path of a manifest with its file beside it. May be given for several tasks." placeholder:"[TASK=]NAME" sep:"none"`
}

// modelError gives errors of the models that a user can do something about in both languages.
func modelError(err error) error {
	var name *models.NameError
	var bare *models.CalibrationError
	var broken *models.BrokenError
	switch {
	case missingIn(err) > 0: // first of all the file, then its thresholds
		return err
	case errors.As(err, &name) && name.Tasks != nil:
		return &usageError{err: err, text: pipeline.Text{
			EN: err.Error(),
			ZH: fmt.Sprintf("选择模型：%q 对应多个任务（%s）；请写 任务=名称，例如 %s=%s", name.Word, strings.Join(name.Tasks, "、"), name.Tasks[0], name.Word),
		}}
	case errors.As(err, &name):
		return &usageError{err: err, text: pipeline.Text{
			EN: err.Error(),
			ZH: fmt.Sprintf("选择模型：%q 不是 %s 之一，也不是清单路径（路径以 .yaml 结尾）", name.Word, strings.Join(name.Known, "、")),
		}}
	case errors.As(err, &broken):
		return &usageError{err: err, text: pipeline.Text{
			EN: err.Error(),
			ZH: fmt.Sprintf("本机添加的模型 %s 的清单无法读取：%v；请修改清单，或删除文件夹 %s", broken.Name, broken.Err, broken.Dir),
		}}
	case errors.As(err, &bare):
		return &usageError{err: err, text: pipeline.Text{
			EN: err.Error(),
			ZH: fmt.Sprintf("打开模型 face_embed：%s（%s）的清单没有阈值 %q 和 %q；请先标定：onsite models calibrate --manifest %s --data DIR --write", bare.Name, bare.Manifest, manifest.Accept, manifest.Reject, bare.Manifest),
		}}
	}
	return err
}

// faultError says that a model was refused, with every reason; also are others that were.
type faultError struct {
	name   string
	faults []models.Fault
	also   []*faultError
}

func (e *faultError) Error() string { return e.text().EN }

func (e *faultError) text() pipeline.Text {
	t := pipeline.Text{EN: fmt.Sprintf("model %s is refused:", e.name), ZH: fmt.Sprintf("模型 %s 被拒绝：", e.name)}
	for _, f := range e.faults {
		t.EN += "\n" + f.Code + ": " + f.Text.EN
		t.ZH += "\n" + f.Code + "：" + f.Text.ZH
	}
	for _, other := range e.also {
		said := other.text()
		t.EN, t.ZH = t.EN+"\n"+said.EN, t.ZH+"\n"+said.ZH
	}
	return t
}

type modelsAddCmd struct {
	Manifest string   `arg:"" help:"Manifest of the model (a YAML file), or the name of a further model that this program does not fetch."`
	Files    []string `arg:"" help:"The ONNX file, and the file of keys where the model has one."`
	JSON     bool     `help:"Print the examination as JSON."`
}

func (c *modelsAddCmd) Run(ctx context.Context, e *env) error {
	man, err := readModel(c.Manifest)
	if err != nil {
		return err
	}
	if err := c.refuse(man); err != nil {
		return err
	}
	known, err := knownModels()
	if err != nil {
		return err
	}
	stage, err := c.stage(man)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(stage) }()
	x, err := c.examine(ctx, man, stage, known)
	if err != nil {
		return err
	}
	home := filepath.Join(models.AddedDir(), man.Name)
	if err := os.RemoveAll(home); err != nil { // an identical one, see refuse
		return fmt.Errorf("add model %s: %w", man.Name, err)
	}
	if err := os.Rename(stage, home); err != nil {
		return fmt.Errorf("add model %s: %w", man.Name, err)
	}
	if c.JSON {
		return e.printJSON(x)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("added %s %s (%s, sha256 %.12s) to %s\n%s", man.Name, man.Version, man.Task, man.File.SHA256, home, costLine(x).EN),
		ZH: fmt.Sprintf("已添加 %s %s（%s，sha256 %.12s）到 %s\n%s", man.Name, man.Version, man.Task, man.File.SHA256, home, costLine(x).ZH),
	}))
	return nil
}

// examine examines the copy in stage. A further model that this program names but never had the file of has no golden sample: what it computes
// here is recorded in the copy once nothing else is wrong with it.
func (c *modelsAddCmd) examine(ctx context.Context, man manifest.Manifest, stage string, known []manifest.Manifest) (models.Examination, error) {
	o := models.ExamineOptions{Library: models.DefaultOptions().Library, Known: known}
	o.NoGolden = len(man.Golden) == 0 && filepath.Ext(c.Manifest) != ".yaml"
	x, err := models.Examine(ctx, man.In(stage), o)
	if err != nil {
		return x, err
	}
	if !x.Passed {
		for i, f := range x.Faults { // they name the copies
			for j, own := range c.Files {
				copied := filepath.Join(stage, man.Files()[j].Name)
				f.Text.EN, f.Text.ZH = strings.ReplaceAll(f.Text.EN, copied, own), strings.ReplaceAll(f.Text.ZH, copied, own)
			}
			x.Faults[i] = f
		}
		return x, &faultError{name: man.Name, faults: x.Faults}
	}
	if !o.NoGolden {
		return x, nil
	}
	g, err := models.Record(ctx, man.In(stage), o)
	if err != nil {
		return x, err
	}
	man.Golden = []manifest.Golden{g}
	return x, manifest.Rewrite(filepath.Join(stage, models.ManifestFile), man)
}

// refuse says why a model cannot have its name here.
func (c *modelsAddCmd) refuse(man manifest.Manifest) error {
	if f := models.NameFault(man); f != nil {
		return &faultError{name: man.Name, faults: []models.Fault{*f}}
	}
	if want := len(man.Files()); len(c.Files) != want {
		return usagef(pipeline.Text{
			EN: fmt.Sprintf("model %s has %d file(s), %d were given", man.Name, want, len(c.Files)),
			ZH: fmt.Sprintf("模型 %s 有 %d 个文件，给出了 %d 个", man.Name, want, len(c.Files)),
		})
	}
	all, err := models.Choices(models.AddedDir())
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Name == man.Name && k.Broken != nil {
			return modelError(k.Broken)
		}
		if k.Name == man.Name && taken(k, man) {
			return usagef(pipeline.Text{
				EN: fmt.Sprintf("a model called %s is there already (%s), and it is another one; give the new one another name", man.Name, k.Origin),
				ZH: fmt.Sprintf("已存在名为 %s 的另一个模型（%s）；请为新模型另取名称", man.Name, k.Origin),
			})
		}
	}
	return nil
}

// taken says whether a model of the same name is another one. A further model may be added with thresholds and samples of this machine, but with its
// file and in its way.
func taken(k models.Choice, man manifest.Manifest) bool {
	switch k.Origin {
	case models.OriginAdded:
		return k.Digest() != man.Digest()
	case models.OriginFurther:
		return k.Task != man.Task || k.File.SHA256 != man.File.SHA256 || len(man.Conflicts([]manifest.Manifest{k.Manifest})) > 0
	}
	return true
}

// stage copies manifest and files into a folder of their own, under the names that the manifest gives them.
func (c *modelsAddCmd) stage(man manifest.Manifest) (dir string, err error) {
	if err := os.MkdirAll(models.AddedDir(), 0o755); err != nil {
		return "", fmt.Errorf("add model %s: %w", man.Name, err)
	}
	if dir, err = os.MkdirTemp(models.AddedDir(), ".add-*"); err != nil {
		return "", fmt.Errorf("add model %s: %w", man.Name, err)
	}
	made := dir
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(made))
		}
	}()
	text, err := man.Text()
	if err != nil {
		return "", fmt.Errorf("add model %s: %w", man.Name, err)
	}
	if err := os.WriteFile(filepath.Join(dir, models.ManifestFile), text, 0o644); err != nil {
		return "", fmt.Errorf("add model %s: %w", man.Name, err)
	}
	for i, f := range man.Files() {
		if err := copyFile(filepath.Join(dir, f.Name), c.Files[i], f.Bytes); err != nil {
			return "", err
		}
	}
	return dir, os.Chmod(dir, 0o755) //nolint:gosec // G302: as above
}

// copyFile copies at most a byte more than wanted: the examination then names what is wrong with it.
func copyFile(to, from string, bytes int64) (err error) {
	if err := readable("FILE", from); err != nil {
		return err
	}
	in, err := pipeline.OpenRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, io.LimitReader(in, bytes+1))
	return err
}

// readModel reads a manifest by path, or that of a further or added model by name.
func readModel(word string) (manifest.Manifest, error) {
	man, err := models.Choose(word, models.AddedDir())
	if err != nil {
		return man, &usageError{err: err, text: words(modelError(err))}
	}
	return man, nil
}

// knownModels are the models that another one must not be mistaken for. One that is among them is not mistaken for itself: it is used in the same way.
func knownModels() ([]manifest.Manifest, error) {
	all, err := models.Choices(models.AddedDir())
	if err != nil {
		return nil, err
	}
	var out []manifest.Manifest
	for _, k := range all {
		if k.Broken == nil {
			out = append(out, k.Manifest)
		}
	}
	return out, nil
}

// costLine says what a model costs.
func costLine(x models.Examination) pipeline.Text {
	return pipeline.Text{
		EN: fmt.Sprintf("%d golden sample(s) equal · %.1f ms a call (slowest %.1f, CPU %.1f) on one thread · about %d MB of memory", x.Golden, x.LatencyMS, x.SlowestMS, x.CPUMS, (x.MemoryBytes+1<<19)>>20),
		ZH: fmt.Sprintf("%d 个基准样本一致 · 单线程每次 %.1f 毫秒（最慢 %.1f，CPU %.1f）· 约占内存 %d MB", x.Golden, x.LatencyMS, x.SlowestMS, x.CPUMS, (x.MemoryBytes+1<<19)>>20),
	}
}
