package report

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser starts a headless Chromium with an empty profile. It is one of the packages that `make setup` installs.
func browser(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.Flag("no-sandbox", true), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, stopTab := chromedp.NewContext(ctx)
	t.Cleanup(stopTab)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a wedged browser must not hang the tests
	t.Cleanup(cancel)
	return ctx
}

// watched records what a page does besides being shown.
type watched struct {
	mu       sync.Mutex
	requests []string
	errors   []string
}

func (w *watched) see(ev any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		w.requests = append(w.requests, e.Request.URL)
	case *log.EventEntryAdded:
		w.errors = append(w.errors, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		w.errors = append(w.errors, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		w.errors = append(w.errors, "console")
	}
}

func (w *watched) take() (requests, errors []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests, errors = w.requests, w.errors
	w.requests, w.errors = nil, nil
	return requests, errors
}

func write(t *testing.T, in Input) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, Write(f, in))
	require.NoError(t, f.Close())
	return (&url.URL{Scheme: "file", Path: path}).String()
}

func eval[T any](ctx context.Context, t *testing.T, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	require.NoError(t, err, js)
	return v
}

// click finds the element itself: chromedp's text search would read through every picture of the page.
func click(ctx context.Context, selector string) error {
	return chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
}

// visible counts the shown elements of a class.
const visible = `(c) => [...document.querySelectorAll("." + c)].filter(e => e.getClientRects().length > 0).length`

func TestPageInABrowser(t *testing.T) {
	ctx := browser(t)
	var w watched
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	require.NoError(t, chromedp.Listen(ctx, w.see))
	open := func(in Input) string {
		at := write(t, in)
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(at)))
		return at
	}
	quiet := func(at string) {
		t.Helper()
		requests, errors := w.take()
		for _, r := range requests {
			if len(r) < 5 || r[:5] != "data:" { // pictures inside the page
				require.Equal(t, at, r, "the page asks for nothing but itself")
			}
		}
		require.Contains(t, requests, at)
		require.Empty(t, errors)
	}

	for _, kind := range kinds {
		at := open(sample(t, kind))
		require.Positive(t, eval[int](ctx, t, "("+visible+")('en')"), kind)
		require.Zero(t, eval[int](ctx, t, "("+visible+")('zh')"), kind)
		require.True(t, eval[bool](ctx, t, `document.documentElement.scrollWidth <= innerWidth`), "%s: no sideways scrolling", kind)
		require.True(t, eval[bool](ctx, t, `getComputedStyle(document.querySelector(".headline")).display === "flex"`), "the policy lets the page's own style in")
		// And on a phone: the same page, narrower.
		require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)))
		require.True(t, eval[bool](ctx, t, `document.documentElement.scrollWidth <= 390`), kind)
		require.NoError(t, chromedp.Do(ctx, chromedp.ResetViewport()))
		quiet(at)
	}

	t.Run("the switch changes the language", func(t *testing.T) {
		at := open(sample(t, "reused"))
		require.Equal(t, "en", eval[string](ctx, t, "document.documentElement.lang"))
		require.NoError(t, click(ctx, "label[for=lang-zh]"))
		require.Zero(t, eval[int](ctx, t, "("+visible+")('en')"))
		require.Positive(t, eval[int](ctx, t, "("+visible+")('zh')"))
		require.Equal(t, "zh-Hans", eval[string](ctx, t, "document.documentElement.lang"))
		require.Equal(t, "异常 · clip_0921.mp4 · Onsite", eval[string](ctx, t, "document.title"))
		require.Equal(t, "monday-morning.mp4，0:06.0", eval[string](ctx, t, `document.querySelector(".pairs img").alt`))
		require.NoError(t, click(ctx, "label[for=lang-en]"))
		require.Positive(t, eval[int](ctx, t, "("+visible+")('en')"))
		require.Equal(t, "en", eval[string](ctx, t, "document.documentElement.lang"))
		quiet(at)
	})

	t.Run("a picture enlarges", func(t *testing.T) {
		at := open(sample(t, "pass"))
		require.Zero(t, eval[int](ctx, t, "("+visible+")('view')"))
		require.NoError(t, click(ctx, `.strip a[href="#view-3"]`))
		require.Equal(t, 1, eval[int](ctx, t, "("+visible+")('view')"))
		require.NoError(t, click(ctx, `#view-3 a.close`))
		require.Zero(t, eval[int](ctx, t, "("+visible+")('view')"))
		requests, errors := w.take()
		require.Contains(t, requests, at)
		require.Empty(t, errors)
	})

	t.Run("nothing hostile runs", func(t *testing.T) {
		for _, attack := range attacks {
			at := open(hostile(t, "reused", attack))
			require.False(t, eval[bool](ctx, t, `"pwned" in window`), attack)
			require.Equal(t, 1, eval[int](ctx, t, `document.scripts.length`))
			quiet(at)
		}
	})

	t.Run("the switch works without script", func(t *testing.T) {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		require.NoError(t, err)
		open(sample(t, "review"))
		require.NoError(t, click(ctx, "label[for=lang-zh]"))
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false})
		require.NoError(t, err)
		require.Zero(t, eval[int](ctx, t, "("+visible+")('en')"))
		require.Positive(t, eval[int](ctx, t, "("+visible+")('zh')"))
	})
}
