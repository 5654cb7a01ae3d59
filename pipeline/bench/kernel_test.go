package bench

import (
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kernel that was renamed or deleted must not stay in the list: its time would silently count as overhead.
func TestKernelsExist(t *testing.T) {
	all := maps.Clone(kernelList)
	for _, f := range unheld {
		all["onsite/models"] = append(slices.Clone(all["onsite/models"]), strings.TrimPrefix(f, "onsite/models."))
	}
	for pkg, list := range all {
		there := map[string]bool{}
		dir := filepath.Join("..", "..", strings.TrimPrefix(pkg, "onsite/"))
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					there[profileName(fn)] = true
				}
			}
		}
		for _, f := range list {
			require.True(t, there[f], "%s.%s is not there any more", pkg, f)
		}
	}
	require.True(t, isKernel("onsite/pipeline/reuse.(*track).steadied.func1"))
	require.True(t, isKernel("crypto/internal/fips140/sha256.blockSHANI"))
	require.False(t, isKernel("onsite/pipeline/reuse.Check"))
}

func TestPhotosHaveNineMegapixels(t *testing.T) {
	require.Equal(t, image.Pt(4000, 2250), photoSize(1280, 720))
	require.Equal(t, image.Pt(2250, 4000), photoSize(720, 1280))
}

// profileName is how a profile names a function of a package.
func profileName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	switch r := fn.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if id, ok := r.X.(*ast.Ident); ok {
			return "(*" + id.Name + ")." + fn.Name.Name
		}
	case *ast.Ident:
		return r.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}
