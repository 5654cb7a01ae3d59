package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/rivo/uniseg"

	"onsite/api/client"
	"onsite/cmd/onsite/config"
	"onsite/pipeline"
	"onsite/pipeline/report"
)

// remoteFlags are those of every command that speaks to a service.
type remoteFlags struct {
	Server  string `help:"URL of the service." env:"ONSITE_SERVER" default:"http://127.0.0.1:8420" placeholder:"URL" group:"Service"`
	Key     string `help:"API key. Other users of the machine can see it on a command line: better set the variable, or name a file." env:"ONSITE_KEY" placeholder:"ons_..." group:"Service"`
	KeyFile string `help:"File that holds the API key; \"onsite serve\" writes the first one to admin-key in its data folder." env:"ONSITE_KEY_FILE" placeholder:"FILE" group:"Service"`
	JSON    bool   `help:"Print JSON."`
}

// maxKeyFile bounds a file with a key in it.
const maxKeyFile = 4 << 10

func (f remoteFlags) open(e *env) (*client.Client, error) {
	key, file := f.Key, f.KeyFile
	if key == "" && file == "" {
		file = f.firstKey()
	}
	if key == "" && file != "" {
		raw, err := pipeline.ReadFile(file, maxKeyFile)
		if err != nil {
			return nil, pathError("--key-file", file, err, "name the file with the API key", "请指定存放 API 密钥的文件")
		}
		key = strings.TrimSpace(string(raw))
	}
	if key == "" {
		return nil, usagef(pipeline.Text{
			EN: "there is no API key; set ONSITE_KEY, or name a file with --key-file (\"onsite serve\" writes the first key to admin-key in its data folder)",
			ZH: "缺少 API 密钥；请设置 ONSITE_KEY，或用 --key-file 指定文件（“onsite serve” 会将首个密钥写入数据文件夹的 admin-key）",
		})
	}
	c, err := client.New(client.Options{Server: f.Server, Key: key, Lang: e.lang, Waiting: e.waiting})
	return c, remotely(err)
}

// firstKey finds the key that "onsite serve" wrote when it was started in this folder, for that service only: the key goes to no other
// machine unasked.
func (f remoteFlags) firstKey() string {
	u, err := url.Parse(f.Server)
	if err != nil || (u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()) {
		return ""
	}
	file := filepath.Join(config.Defaults().Data, "admin-key")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// shortfall says that a command did its work and cannot call it good.
func shortfall(rule, en, zh string) error {
	return &remoteError{code: exitOther, rule: rule, text: pipeline.Text{EN: en, ZH: zh}}
}

// remoteError is what went wrong with a service or a run, with the exit state that it leads to.
type remoteError struct {
	code int
	rule string
	text pipeline.Text // may have several lines
	err  error
}

func (e *remoteError) Error() string { return e.text.EN }
func (e *remoteError) Unwrap() error { return e.err }

// remotely puts an error of the client into words. What is the caller's own is exit state 2, what may be better later is 1.
func remotely(err error) error {
	var misuse *client.Misuse
	var away *client.Unreachable
	var file *client.FileError
	var problem *client.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &misuse):
		return &usageError{text: misuse.Text, err: err}
	case errors.As(err, &file):
		return pathError("FILE", file.Path, file.Err, "check the path and its permissions", "请检查路径及其权限")
	case errors.As(err, &away):
		return &remoteError{code: exitOther, rule: "no_answer", text: away.Words(), err: err}
	case errors.As(err, &problem):
		return &remoteError{code: problemExit(problem), rule: problem.Code, text: problemText(problem), err: err}
	}
	return err
}

func problemExit(p *client.Problem) int {
	switch {
	case p.Code == "photos_refused", p.Code == "site_refused":
		return exitRefused
	case p.Status >= http.StatusInternalServerError, p.Status == http.StatusTooManyRequests:
		return exitOther
	}
	return exitUsage
}

// ours says in the words of the command line what the service says in those of the API.
var ours = strings.NewReplacer("body.", "", "form.", "", "path.", "", "query.", "",
	"PUT /v1/subjects/{id}", "onsite enroll", "PUT /v1/sites/{id}", "onsite site put", "POST /v1/challenges", "onsite challenge new")

// problemText gives a line for each thing that is wrong. The service speaks the language that was asked for, so both are the same.
func problemText(p *client.Problem) pipeline.Text {
	text := p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, f := range p.Errors {
		text += "\n  " + ours.Replace(f.String())
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		text += " (" + p.RequestID + ")"
	}
	return pipeline.Text{EN: text, ZH: text}
}

// columns prints rows under each other, as wide as they need. Chinese characters are two columns wide.
func columns(w io.Writer, rows [][]string) error {
	var width []int
	for _, row := range rows {
		for i := range row {
			row[i] = report.Clean(row[i])
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], uniseg.StringWidth(row[i]))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-uniseg.StringWidth(cell)+2))
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
