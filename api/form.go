package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/sys/unix"

	"onsite/pipeline"
)

// maxPhotoBytes bounds one picture: a photo of a phone's camera has 3 to 12 MB.
const maxPhotoBytes = 25 << 20

// maxPartName bounds the name of a part, in runes: photos may be named by their path.
const maxPartName = 200

// Stream is part of the input of operations that read their body as it comes: huma would put it into memory or onto a disk first, and
// pictures of people belong on neither.
type Stream struct {
	contentType string
	client      *clientReader
	body        *bounded
}

// Resolve takes the body from the request.
func (in *Stream) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	op := ctx.Operation()
	in.contentType = r.Header.Get("Content-Type")
	in.client = newClientReader(w, r, op.BodyReadTimeout)
	in.body = bound(in.client, op.MaxBodyBytes, "body")
	return nil
}

// workTime is how long the work on pictures may take before the answer must be out.
const workTime = 10 * time.Minute

// pause takes the deadline off between two reads, while we work: one that passes would end the request's context.
func (in *Stream) pause() { _ = in.client.conn.SetReadDeadline(time.Time{}) }

// done ends the reading: what follows is our time, not the client's.
func (in *Stream) done() {
	in.client.done()
	_ = in.client.conn.SetWriteDeadline(time.Now().Add(workTime)) // a recorder in a test has none
}

// isForm says whether the body is multipart/form-data.
func (in *Stream) isForm() bool {
	kind, _, err := mime.ParseMediaType(in.contentType)
	return err == nil && kind == "multipart/form-data"
}

// whole reads a body that is no form, of at most limit bytes.
func (in *Stream) whole(limit int64) ([]byte, error) {
	defer in.done()
	raw, err := io.ReadAll(bound(in.body, limit, "body"))
	if err == nil && len(raw) == 0 {
		err = problem(codeNoBody)
	}
	if err != nil {
		return nil, badBody(err)
	}
	return raw, nil
}

// form begins to read multipart/form-data.
func (in *Stream) form() (*formReader, error) {
	kind, params, err := mime.ParseMediaType(in.contentType)
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, problem(codeContentType).with("Send multipart/form-data.", "请使用 multipart/form-data。")
	}
	return &formReader{reader: multipart.NewReader(in.body, params["boundary"])}, nil
}

// formReader gives the parts of a body one after another.
type formReader struct{ reader *multipart.Reader }

// part is one part. What is not read of it is skipped by the next call of next.
type part struct {
	name     string // of the field
	filename string // as sent, with its folders; "" for a plain field
	body     io.Reader
}

// next gives the next part, io.EOF after the last.
func (f *formReader) next() (*part, error) {
	p, err := f.reader.NextRawPart()
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, badBody(err)
	}
	// Not p.FileName, which drops the folders.
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil || params["name"] == "" {
		return nil, problem(codeUnreadable).with("A part of the form has no name.", "表单中有一部分没有名称。")
	}
	out := &part{name: params["name"], filename: params["filename"], body: p}
	for _, text := range []string{out.name, out.filename} {
		if !plainName(text) {
			return nil, problem(codeUnreadable).with("A part of the form has a name that is too long or has unprintable characters.", "表单中有一部分的名称过长或含有不可打印字符。")
		}
	}
	return out, nil
}

func plainName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxPartName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// text reads a field of at most limit bytes.
func (p *part) text(limit int64) ([]byte, error) {
	raw, err := io.ReadAll(p.bounded(limit))
	if err != nil {
		return nil, badBody(err)
	}
	return raw, nil
}

// bounded gives the bytes of the part, of which there may be so many.
func (p *part) bounded(limit int64) *bounded { return bound(p.body, limit, "form."+p.name) }

// label is the name of the file for people: the last part of what was sent.
func (p *part) label() string {
	name := p.filename
	if name == "" {
		name = p.name
	}
	return fileName(name[strings.LastIndexAny(name, `/\`)+1:])
}

// memory is an upload in anonymous memory: plain pictures never touch a disk. It is a pipeline.Media. Its owner closes it.
type memory struct {
	name   string
	file   *os.File
	sha256 string // hex
	bytes  int64
}

// hold reads an upload into memory. An empty one is the client's fault.
func hold(name string, from *bounded) (*memory, error) {
	fd, err := unix.MemfdCreate("upload", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hold an upload in memory: %w", err)
	}
	m := &memory{name: name, file: os.NewFile(uintptr(fd), "upload")}
	sum := sha256.New()
	m.bytes, err = io.Copy(io.MultiWriter(m.file, sum), from)
	switch {
	case from.err != nil:
		err = badBody(from.err)
	case err != nil:
		err = fmt.Errorf("hold an upload in memory: %w", err)
	case m.bytes == 0:
		err = invalid(from.field, "missing", nil, say("is empty", "为空"), pipeline.Text{})
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	m.sha256 = hex.EncodeToString(sum.Sum(nil))
	return m, nil
}

// Name is for people.
func (m *memory) Name() string { return m.name }

// Open gives a descriptor of its own, at the beginning.
func (m *memory) Open(context.Context) (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", m.file.Fd()))
}

// Close frees the memory.
func (m *memory) Close() { _ = m.file.Close() }

var _ pipeline.Media = (*memory)(nil)
