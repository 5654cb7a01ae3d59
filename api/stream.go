package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"onsite/pipeline"
)

// clientReader reads what a client sends and bounds the pause between two reads. The deadline of the last read stays when a handler gives
// up: the server reads what is left of a small body before it answers, and must not wait for it for ever.
type clientReader struct {
	r      io.Reader
	conn   *http.ResponseController
	idle   time.Duration
	until  time.Time // when the whole body must be there: who trickles does not hold a place for ever
	failed bool      // to read, so there is no sense in reading on
}

// maxBodyTime is how long a whole body may take: 500 MiB at 1.2 Mbit/s.
const maxBodyTime = time.Hour

func newClientReader(w http.ResponseWriter, r *http.Request, idle time.Duration) *clientReader {
	return &clientReader{r: r.Body, conn: http.NewResponseController(w), idle: idle, until: time.Now().Add(maxBodyTime)}
}

func (c *clientReader) Read(p []byte) (int, error) {
	deadline := time.Now().Add(c.idle)
	if deadline.After(c.until) {
		deadline = c.until
	}
	_ = c.conn.SetReadDeadline(deadline) // a recorder in a test has none
	n, err := c.r.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	c.failed = true
	return n, unread(err)
}

// maxTail is how much may follow the part of a body that was of use: the end of a form, a line feed.
const maxTail = 64 << 10

// finish reads the rest of a body and takes the deadline off: what follows is our time, and a deadline that passes would end the
// request's context.
func (c *clientReader) finish() error {
	n, err := io.CopyN(io.Discard, c, maxTail)
	switch {
	case errors.Is(err, io.EOF):
		_ = c.conn.SetReadDeadline(time.Time{})
		return nil
	case err != nil:
		return err
	}
	return problem(codeUnreadable).with("The body goes on after its end, for more than %d bytes.", "请求体在结尾之后还有超过 %d 字节的内容。", n)
}

// done is finish for a handler that has an answer already, or that does not mind what follows.
func (c *clientReader) done() {
	if !c.failed {
		_ = c.finish() // the deadline stays, then
	}
}

// unread is the problem of a body that broke off.
func unread(err error) *Problem {
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return problem(codeSlow).because(err)
	}
	return problem(codeGone).because(err)
}

// badBody is the problem of a body that cannot be read: its own where it has one.
func badBody(err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return problem(codeUnreadable).with("The body breaks off or has not the form that its Content-Type says.", "请求体不完整，或与其 Content-Type 不符。").because(err)
}

// bounded ends with a problem that names the limit when more than max bytes come.
type bounded struct {
	r     io.Reader
	left  int64
	max   int64
	field string
	err   error // of the reader, or the limit's: the client's fault, not the store's
}

func bound(r io.Reader, limit int64, field string) *bounded {
	return &bounded{r: r, left: limit, max: limit, field: field}
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 { // is there one byte more?
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n > 0 {
			err = overLimit(b.field, b.max)
		}
		return 0, b.note(err)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, b.note(err)
}

func (b *bounded) note(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return err
}

func overLimit(field string, limit int64) *Problem {
	return problem(codeTooLarge).with("The limit is %d bytes.", "上限为 %d 字节。", limit).
		field(field, "too_large", limit, say("is larger than %d bytes", "超过 %d 字节", limit), say("send a shorter or smaller recording", "请发送更短或更小的文件"))
}

// readBody reads a small body whole.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, idle time.Duration) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, overLimit("body", limit)
	}
	c := newClientReader(w, r, idle)
	raw, err := io.ReadAll(bound(c, limit, "body"))
	return whole(c, raw, err)
}

// readStart reads a body to its end and gives the first bytes of it: for a sender that would send again for ever what is refused.
func readStart(w http.ResponseWriter, r *http.Request, most int64, idle time.Duration) ([]byte, error) {
	c := newClientReader(w, r, idle)
	raw, err := io.ReadAll(io.LimitReader(c, most))
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	return whole(c, raw, err)
}

// whole ends the reading of a body.
func whole(c *clientReader, raw []byte, err error) ([]byte, error) {
	if err == nil {
		err = c.finish()
	}
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, problem(codeNoBody)
	}
	return raw, nil
}

// keep seals what a client sends for a subject. The client's own fault comes out as its problem, whatever the vault made of it.
func (s *Server) keep(ctx context.Context, tenant, subject string, from *bounded) (sealed, error) {
	put, err := s.Vault.Put(ctx, tenant, subject, from)
	switch {
	case from.err != nil:
		err = badBody(from.err)
	case err == nil && put.Bytes == 0:
		err = invalid(from.field, "missing", nil, say("is empty", "为空"), pipeline.Text{})
	case err != nil:
		err = fmt.Errorf("keep an upload: %w", err)
	}
	if err != nil && put.Key != "" {
		s.discard(ctx, put.Key)
	}
	return sealed{put.Key, put.SHA256, put.Bytes}, err
}

// sealed is a vault.Sealed by its parts.
type sealed struct {
	key, sha256 string
	bytes       int64
}

// cleanTimeout bounds the cleaning up after a request whose context has ended; what it does not reach, the sweeper finds.
const cleanTimeout = 10 * time.Second

func (s *Server) discard(ctx context.Context, keys ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if err := s.Vault.Discard(ctx, keys...); err != nil {
		s.Log.WarnContext(ctx, "an object that nothing names stays for the sweeper", "request", RequestID(ctx), "error", err.Error())
	}
}
