package client

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"os"
	"strings"

	"onsite/pipeline"
)

// File is a file that is sent: on disk, or Bytes.
type File struct {
	Name  string // as the server hears it
	Path  string
	Bytes []byte // instead of Path
}

// FileError is a file of ours that cannot be read.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Err.Error() } // names the path itself

// Unwrap gives the cause.
func (e *FileError) Unwrap() error { return e.Err }

// form is a multipart/form-data body that is written once and read as often as it is sent: only the small parts are in memory.
type form struct {
	parts    []any // []byte or File, in order
	head     bytes.Buffer
	w        *multipart.Writer
	progress func(sent, total int64)
}

func newForm(progress func(sent, total int64)) *form {
	f := &form{progress: progress}
	f.w = multipart.NewWriter(&f.head)
	return f
}

func (f *form) field(name, value string) error {
	w, err := f.w.CreatePart(header(name, "", ""))
	if err == nil {
		_, err = io.WriteString(w, value)
	}
	return err
}

// file adds a file; kind is its content type, "" for bytes.
func (f *form) file(field string, file File, kind string) error {
	if kind == "" {
		kind = "application/octet-stream"
	}
	if _, err := f.w.CreatePart(header(field, file.Name, kind)); err != nil {
		return err
	}
	f.cut()
	f.parts = append(f.parts, file)
	return nil
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "_", "\n", "_")

func header(field, file, kind string) textproto.MIMEHeader {
	h := textproto.MIMEHeader{}
	text := `form-data; name="` + escape.Replace(field) + `"`
	if kind != "" {
		text += `; filename="` + escape.Replace(file) + `"`
		h.Set("Content-Type", kind)
	}
	h.Set("Content-Disposition", text)
	return h
}

// cut moves what was written so far to the parts.
func (f *form) cut() {
	if f.head.Len() > 0 {
		f.parts = append(f.parts, bytes.Clone(f.head.Bytes()))
		f.head.Reset()
	}
}

// end closes the form and gives its body.
func (f *form) end() (func() (io.ReadCloser, string, int64, error), error) {
	if err := f.w.Close(); err != nil {
		return nil, fmt.Errorf("write a form: %w", err)
	}
	f.cut()
	return func() (io.ReadCloser, string, int64, error) {
		b := &formBody{progress: f.progress, parts: f.parts}
		var err error
		if b.total, err = f.length(); err != nil {
			return nil, "", 0, err
		}
		return b, f.w.FormDataContentType(), b.total, nil
	}, nil
}

func (f *form) length() (int64, error) {
	var total int64
	for _, p := range f.parts {
		switch p := p.(type) {
		case []byte:
			total += int64(len(p))
		case File:
			if p.Bytes != nil {
				total += int64(len(p.Bytes))
				continue
			}
			info, err := os.Stat(p.Path)
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s: %w", p.Path, pipeline.ErrNotRegular)
			}
			if err != nil {
				return 0, &FileError{Path: p.Path, Err: err}
			}
			total += info.Size()
		}
	}
	return total, nil
}

// formBody reads the parts one after another; one file is open at a time.
type formBody struct {
	parts    []any
	now      io.Reader
	open     *os.File
	sent     int64
	total    int64
	progress func(sent, total int64)
}

func (b *formBody) Read(p []byte) (int, error) {
	for {
		if b.now == nil {
			if len(b.parts) == 0 {
				return 0, io.EOF
			}
			if err := b.next(); err != nil {
				return 0, err
			}
		}
		n, err := b.now.Read(p)
		b.sent += int64(n)
		if b.progress != nil && n > 0 {
			b.progress(b.sent, b.total)
		}
		if err == io.EOF { //nolint:errorlint // readers give io.EOF itself
			b.now, err = nil, b.Close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (b *formBody) next() error {
	part := b.parts[0]
	b.parts = b.parts[1:]
	switch part := part.(type) {
	case []byte:
		b.now = bytes.NewReader(part)
	case File:
		if part.Bytes != nil {
			b.now = bytes.NewReader(part.Bytes)
			return nil
		}
		f, err := pipeline.OpenRegular(part.Path)
		if err != nil {
			return &FileError{Path: part.Path, Err: err}
		}
		b.now, b.open = f, f
	}
	return nil
}

// Close closes the file that is open.
func (b *formBody) Close() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open = nil
	return err
}
