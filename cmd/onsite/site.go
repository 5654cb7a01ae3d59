package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"onsite/api/client"
	"onsite/pipeline"
	"onsite/pipeline/scene"
)

type siteCmd struct {
	Put  sitePutCmd  `cmd:"" help:"Write a site: the file that \"onsite verify --site\" reads, with the photos that it names."`
	List siteListCmd `cmd:"" help:"List the sites."`
	Show siteShowCmd `cmd:"" help:"Print a site."`
	Test siteTestCmd `cmd:"" help:"Try a photo against a site file, without a service: what would match, and how surely."`
	Rm   siteRmCmd   `cmd:"" help:"Delete a site. Earlier verdicts keep what they saw."`
}

type sitePutCmd struct {
	File string `arg:"" help:"The site file." placeholder:"site.yaml"`
	remoteFlags
}

// maxSiteFile is the bound that package scene has, too.
const maxSiteFile = 256 << 10

func (c *sitePutCmd) Run(ctx context.Context, e *env) error {
	document, site, photos, err := readSite(c.File)
	if err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	rev := 0
	switch now, err := service.Site(ctx, site.ID); {
	case err == nil:
		rev = now.Revision
	case !notThere(err):
		return remotely(err)
	}
	bar := newProgress(e)
	defer bar.close()
	sending := e.say(pipeline.Text{EN: "sending (KB)", ZH: "正在发送（KB）"})
	put, err := service.PutSite(ctx, site.ID, rev, document, photos, func(sent, total int64) { bar.show(int(total>>10), int(sent>>10), sending) })
	bar.close()
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(put.Raw)
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{
		EN: fmt.Sprintf("site %s, revision %d: %d references", put.ID, put.Revision, len(put.References)),
		ZH: fmt.Sprintf("地点 %s，版本 %d：%d 张参考图片", put.ID, put.Revision, len(put.References)),
	}))
	return nil
}

// loadSite reads a site file that a flag or an argument names.
func loadSite(flag, path string) (*pipeline.Site, error) {
	site, err := scene.LoadSite(path)
	var wrong *scene.SiteError
	switch {
	case errors.As(err, &wrong):
		return nil, &usageError{text: wrong.Text(), err: err}
	case err != nil:
		return nil, pathError(flag, path, err, "name a site file", "请指定地点文件")
	}
	return site, nil
}

// readSite reads a site file and finds its photos; everything that can be told without the service is told here.
func readSite(path string) ([]byte, *pipeline.Site, []client.File, error) {
	site, err := loadSite("FILE", path) // the same words as those of "onsite verify"
	if err != nil {
		return nil, nil, nil, err
	}
	document, err := pipeline.ReadFile(path, maxSiteFile)
	if err != nil {
		return nil, nil, nil, pathError("FILE", path, err, "name a site file", "请指定地点文件")
	}
	var photos []client.File
	seen := map[string]bool{}
	if _, err = scene.ParseSite(path, document, func(photo string) (pipeline.Media, error) {
		file := photo
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), filepath.FromSlash(photo))
		}
		if !seen[photo] {
			photos = append(photos, client.File{Name: photo, Path: file})
		}
		seen[photo] = true
		return pipeline.File(file), nil
	}); err != nil {
		return nil, nil, nil, &usageError{text: words(err), err: err}
	}
	return document, site, photos, nil
}

func notThere(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound && p.Code == "not_found"
}

type siteListCmd struct {
	Limit int `help:"How many to print." default:"500" placeholder:"N"`
	remoteFlags
}

func (c *siteListCmd) Run(ctx context.Context, e *env) error {
	if err := checkLimit(c.Limit); err != nil {
		return err
	}
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	sites, err := gather(c.Limit, func(cursor string, limit int) (client.Page[client.Site], error) {
		return service.Sites(ctx, cursor, limit)
	})
	if err != nil {
		return remotely(err)
	}
	if c.JSON {
		raw := make([]any, len(sites))
		for i, s := range sites {
			raw[i] = s.Raw
		}
		return e.printJSON(map[string]any{"sites": raw})
	}
	rows := [][]string{e.heads("site", "地点", "rev", "版本", "references", "参考图片", "sign", "招牌", "label", "名称")}
	for _, s := range sites {
		var names []string
		if s.Sign != nil {
			names = s.Sign.Names
		}
		rows = append(rows, []string{s.ID, strconv.Itoa(s.Revision), strconv.Itoa(len(s.References)), strings.Join(names, ", "), s.Label})
	}
	return columns(e.out, rows)
}

type siteShowCmd struct {
	ID string `arg:"" help:"Id of the site."`
	remoteFlags
}

func (c *siteShowCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	s, err := service.Site(ctx, c.ID)
	if err != nil {
		return remotely(err)
	}
	return e.printJSON(s.Raw) // the document is the readable form
}

type siteRmCmd struct {
	ID string `arg:"" help:"Id of the site."`
	remoteFlags
}

func (c *siteRmCmd) Run(ctx context.Context, e *env) error {
	service, err := c.open(e)
	if err != nil {
		return err
	}
	defer service.Close()
	if err := service.DeleteSite(ctx, c.ID); err != nil {
		return remotely(err)
	}
	if c.JSON {
		return e.printJSON(map[string]any{"site": c.ID, "deleted": true})
	}
	fmt.Fprintln(e.out, e.say(pipeline.Text{EN: "site " + c.ID + " is deleted", ZH: "地点 " + c.ID + " 已删除"}))
	return nil
}
