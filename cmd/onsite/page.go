package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"onsite/pipeline/report"
)

// page is the report's file: made before the work, so that a path that cannot be written is found at once, and put in place when it is whole.
type page struct {
	path string
	tmp  *os.File // nil: no report is wanted, or it is in place
}

// newPage opens the report's file beside its place. A report never replaces what it is about.
func newPage(c *verifyCmd) (*page, error) {
	p := &page{path: c.Report}
	if c.Report == "" {
		return p, nil
	}
	if old, err := os.Stat(c.Report); err == nil {
		for _, input := range append([]string{c.Media, c.Site, c.Policy}, c.Face...) {
			if in, err := os.Stat(input); err == nil && os.SameFile(old, in) {
				return nil, pathError("--report", c.Report, errors.New("this file is an input"), "name another file", "请指定其他文件")
			}
		}
		if !old.Mode().IsRegular() {
			return nil, pathError("--report", c.Report, errors.New("it is not a regular file"), "name another file", "请指定其他文件")
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(c.Report), ".onsite-report-*")
	if err != nil {
		return nil, pathError("--report", c.Report, err, "name a file in a folder that exists and can be written", "请指定存在且可写的文件夹中的文件")
	}
	p.tmp = tmp
	return p, nil
}

// write fills the page and puts it in place.
func (p *page) write(in report.Input) error {
	if p.tmp == nil {
		return nil
	}
	err := report.Write(p.tmp, in)
	err = errors.Join(err, p.tmp.Chmod(0o644), p.tmp.Close())
	if err == nil {
		err = os.Rename(p.tmp.Name(), p.path)
	}
	if err != nil {
		return fmt.Errorf("write the report %s: %w", p.path, err)
	}
	p.tmp = nil
	return nil
}

// drop takes an unfinished page away.
func (p *page) drop() {
	if p.tmp != nil {
		_ = p.tmp.Close()
		_ = os.Remove(p.tmp.Name())
	}
}
