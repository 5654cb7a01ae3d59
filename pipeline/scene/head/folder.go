package head

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onsite/pipeline"
)

// maxPhoto bounds one picture file of a data folder.
const maxPhoto = 64 << 20

// SourceTable is the optional table of a data folder: columns file,source; files relative to the folder.
const SourceTable = "sources.csv"

var (
	leading  = regexp.MustCompile(`^[0-9]+[_-]`)
	trailing = regexp.MustCompile(`[_-]?[0-9]*$`)
)

// Folder lists the pictures DIR/<class>/*.jpg (jpeg, png, webp), without features. A picture's source is named by DIR/sources.csv; without that
// table, by DIR/../SOURCES.csv (columns file,source; files relative to DIR's parent); a picture that is in neither has the source that its
// name tells: the letters after a number and an underscore, as in 012_harbour.jpg. An unknown class is an error.
func Folder(dir string) ([]Sample, error) {
	tables := sourceTables(dir)
	named := map[string]string{}
	for _, t := range tables {
		if err := t.read(named); err != nil {
			return nil, err
		}
	}
	want := pipeline.Text{EN: "give a folder with a folder of pictures for each class: DIR/<class>/*.jpg", ZH: "请指定每类一个图片文件夹的目录：DIR/<类别>/*.jpg"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &pipeline.DataError{Path: dir, Err: err, Want: want}
	}
	var out []Sample
	var errs []error
	var unknown []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !slices.Contains(Classes(), e.Name()) {
			unknown = append(unknown, strconv.Quote(e.Name()))
			continue
		}
		photos, err := classFolder(dir, e.Name(), named)
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, photos...)
	}
	if unknown != nil {
		errs = append(errs, &pipeline.DataError{Path: dir, Wrong: pipeline.Text{EN: "no class: " + strings.Join(unknown, ", "), ZH: "不是类别：" + strings.Join(unknown, "、")}, Want: pipeline.Text{
			EN: "want folders named " + strings.Join(Classes(), ", "), ZH: "文件夹名应为 " + strings.Join(Classes(), "、"),
		}})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, &pipeline.DataError{Path: dir, Wrong: pipeline.Text{EN: "it holds no pictures", ZH: "其中没有图片"}, Want: want}
	}
	return out, nil
}

func classFolder(dir, class string, named map[string]string) ([]Sample, error) {
	files, err := os.ReadDir(filepath.Join(dir, class))
	if err != nil {
		return nil, fmt.Errorf("read the data folder: %w", err)
	}
	var out []Sample
	for _, f := range files {
		ext := strings.ToLower(filepath.Ext(f.Name()))
		if !slices.Contains([]string{".jpg", ".jpeg", ".png", ".webp"}, ext) || strings.HasPrefix(f.Name(), ".") {
			continue
		}
		name := class + "/" + f.Name()
		raw, err := pipeline.ReadFile(filepath.Join(dir, class, f.Name()), maxPhoto)
		if err != nil {
			return nil, fmt.Errorf("read the data folder: %w", err)
		}
		sum := sha256.Sum256(raw)
		s := Sample{File: name, Class: class, Source: named[name], SHA256: hex.EncodeToString(sum[:])}
		if s.Source == "" {
			s.Source = sourceOf(f.Name())
		}
		out = append(out, s)
	}
	return out, nil
}

// sourceOf is the source that a file's name tells.
func sourceOf(name string) string {
	name = strings.TrimSuffix(name, filepath.Ext(name))
	if s := trailing.ReplaceAllString(leading.ReplaceAllString(name, ""), ""); s != "" {
		return s
	}
	return name
}

// sourceTable is a table of sources; prefix is what its file names have more than those of the data folder.
type sourceTable struct{ path, prefix string }

// sourceTables lists the tables that are there, the stronger one last.
func sourceTables(dir string) []sourceTable {
	clean, err := filepath.Abs(dir)
	if err != nil {
		clean = filepath.Clean(dir)
	}
	var out []sourceTable
	for _, t := range []sourceTable{
		{filepath.Join(filepath.Dir(clean), "SOURCES.csv"), filepath.Base(clean) + "/"},
		{filepath.Join(clean, SourceTable), ""},
	} {
		if _, err := os.Stat(t.path); err == nil {
			out = append(out, t)
		}
	}
	return out
}

func (t sourceTable) read(into map[string]string) error {
	rows, err := pipeline.ReadTable(t.path, "file", "source")
	if err != nil {
		return fmt.Errorf("read the table of sources: %w", err)
	}
	for _, r := range rows {
		if name, ok := strings.CutPrefix(r.Get("file"), t.prefix); ok && r.Get("source") != "" {
			into[name] = r.Get("source")
		}
	}
	return nil
}
