package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"onsite/pipeline"
)

// Options say which server to speak to.
type Options struct {
	Server string // http://127.0.0.1:8420
	Key    string // ons_...
	Lang   string // of problems: en or zh
	HTTP   *http.Client
	// Tries is how often a request that may safely be repeated is sent; 0: 5.
	Tries int
	// Waiting is told before a request is sent again.
	Waiting func(why error, after time.Duration)
}

// Client speaks to one server with one key. It may be used from many goroutines.
type Client struct {
	base *url.URL
	o    Options
}

// answerLimit bounds what is read of an answer that is not streamed: a page of 500 whole verdicts has 15 MB.
const answerLimit = 64 << 20

// New makes a client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, &Misuse{Text: pipeline.Text{
			EN: fmt.Sprintf("the server %q is not a URL; write it as http://127.0.0.1:8420 or https://onsite.example.com", o.Server),
			ZH: fmt.Sprintf("服务器“%s”不是有效网址；请写成 http://127.0.0.1:8420 或 https://onsite.example.com", o.Server),
		}}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	o.Key = strings.TrimSpace(o.Key)
	if !strings.HasPrefix(o.Key, "ons_") || strings.ContainsAny(o.Key, " \t\r\n") {
		return nil, &Misuse{Text: pipeline.Text{EN: "the API key has not the form ons_<id>_<secret>", ZH: "API 密钥的格式应为 ons_<id>_<secret>"}}
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Tries == 0 {
		o.Tries = 5
	}
	return &Client{base: u, o: o}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.o.HTTP.CloseIdleConnections() }

func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}
}

// Misuse is a mistake of the caller, found before anything was sent.
type Misuse struct{ Text pipeline.Text }

func (e *Misuse) Error() string { return e.Text.EN }

// Unreachable says that no answer came: it is not known whether the request was taken.
type Unreachable struct {
	Server string
	Err    error
}

func (e *Unreachable) Error() string { return e.Words().EN }

// Unwrap gives the network's error.
func (e *Unreachable) Unwrap() error { return e.Err }

// Words says it in both languages.
func (e *Unreachable) Words() pipeline.Text {
	why := e.Err
	var u *url.Error
	if errors.As(why, &u) {
		why = u.Err
	}
	return pipeline.Text{
		EN: fmt.Sprintf("no answer from %s: %v; check that the service runs and that the address is right", e.Server, why),
		ZH: fmt.Sprintf("%s 没有响应：%v；请检查服务是否运行、地址是否正确", e.Server, why),
	}
}

// Problem is what the server says is wrong, in the language that was asked for.
type Problem struct {
	Status    int          `json:"status"`
	Code      string       `json:"code"` // stable
	Title     string       `json:"title"`
	Detail    string       `json:"detail"`
	RequestID string       `json:"request_id"`
	Errors    []FieldError `json:"errors"`

	RetryAfter time.Duration `json:"-"` // 0: not said
}

// FieldError names one field at fault.
type FieldError struct {
	Field  string `json:"field"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"`
}

// Error is one line.
func (p *Problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, f := range p.Errors {
		text += "; " + f.String()
	}
	if p.Status >= http.StatusInternalServerError && p.RequestID != "" {
		text += " (" + p.RequestID + ")"
	}
	return text
}

// String is one line.
func (f FieldError) String() string {
	text := f.Field + ": " + f.Detail
	if f.Fix != "" {
		text += "; " + f.Fix
	}
	return text
}

// call is one request. body makes the bytes anew for each try.
type call struct {
	method string
	path   string // below the server, escaped
	query  url.Values
	header map[string]string
	body   func() (body io.ReadCloser, kind string, length int64, err error)
	repeat bool // sending it twice does no more than sending it once
	into   any  // pointer for JSON, io.Writer for everything else, nil for nothing
	// again looks at an answer that was read; an error of it is one of the request, so that it may be sent once more. nil: the answer will do.
	again func() error
}

// do sends a call, again where that is safe and of use, and reads the answer.
func (c *Client) do(ctx context.Context, k call) (http.Header, error) {
	for try := 1; ; try++ {
		header, err := c.once(ctx, k)
		if err == nil && k.again != nil {
			err = k.again()
		}
		after, again := retry(err, try)
		if err == nil || !k.repeat || !again || try >= c.o.Tries || ctx.Err() != nil {
			return header, err
		}
		if c.o.Waiting != nil {
			c.o.Waiting(err, after)
		}
		timer := time.NewTimer(after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// longestWait bounds what a server can make us wait.
const longestWait = time.Minute

// retry says whether and when a failed request may do better.
func retry(err error, try int) (time.Duration, bool) {
	var away *Unreachable
	var p *Problem
	wait := min(250*time.Millisecond<<try, 8*time.Second)
	switch {
	case errors.As(err, &away):
		return wait, true
	case errors.As(err, &p):
		switch p.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return min(max(wait, p.RetryAfter), longestWait), true
		}
		return wait, p.Code == "idempotency_key_busy"
	}
	return 0, false
}

func (c *Client) once(ctx context.Context, k call) (http.Header, error) {
	u := c.base.JoinPath(k.path)
	u.RawQuery = k.query.Encode()
	req, err := http.NewRequestWithContext(ctx, k.method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask the server %s: %w", c.base, err)
	}
	if k.body != nil {
		body, kind, length, err := k.body()
		if err != nil {
			return nil, err
		}
		defer body.Close()
		req.Body, req.ContentLength = body, length
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Authorization", "Bearer "+c.o.Key)
	if c.o.Lang != "" {
		req.Header.Set("Accept-Language", c.o.Lang)
	}
	for name, value := range k.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := c.o.HTTP.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	return res.Header, c.answer(ctx, res, k.into)
}

// unreachable tells a file of ours that cannot be read, and a caller who has left, from a server that is away.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var own *FileError
	switch {
	case errors.As(err, &own):
		return own
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &Unreachable{Server: c.base.String(), Err: err}
}

func (c *Client) answer(ctx context.Context, res *http.Response, into any) error {
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return c.problem(res)
	}
	if w, ok := into.(io.Writer); ok {
		if _, err := io.Copy(w, res.Body); err != nil {
			return c.unreachable(ctx, err)
		}
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if into == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the answer of %s cannot be read as JSON (is it an Onsite server?): %w", c.base, err)
	}
	return nil
}

func (c *Client) problem(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	p := &Problem{}
	if err != nil || json.Unmarshal(raw, p) != nil || p.Code == "" {
		// A proxy, or something that is not Onsite.
		p = &Problem{Code: "http_" + strconv.Itoa(res.StatusCode), Title: fmt.Sprintf("%s answered %s", c.base, res.Status)}
	}
	p.Status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}

// encode is the body of a JSON request.
func encode(v any) func() (io.ReadCloser, string, int64, error) {
	return func() (io.ReadCloser, string, int64, error) {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, "", 0, fmt.Errorf("write a request as JSON: %w", err)
		}
		return io.NopCloser(bytes.NewReader(raw)), "application/json", int64(len(raw)), nil
	}
}

// at joins the parts of a path, each escaped.
func at(parts ...string) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return "/v1/" + strings.Join(parts, "/")
}
