package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Limits in lines: what one can read at once.
const (
	maxFile     = 400 // lines, of a test too
	maxFunction = 60
	maxPackage  = 2500 // without its tests
	maxCommand  = 1500 // cmd/gateway composes, and does nothing itself
)

// houses are the folders at the top that have packages.
var houses = []string{"cmd", "configs", "gateway", "scripts", "sensors", "systemd", "wire"}

// ofEverybody are methods that need no comment: those of the standard library's
// interfaces.
var ofEverybody = map[string]bool{"Error": true, "Unwrap": true, "Is": true, "String": true, "GoString": true, "Write": true, "Close": true, "Accept": true}

func TestHouseSizes(t *testing.T) {
	root := filepath.Join("..", "..")
	lines, documented := map[string]int{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case filepath.Ext(path) != ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n := bytes.Count(text, []byte("\n"))
		if n > maxFile {
			t.Errorf("%s has %d lines, of %d at most: which idea of it is a file of its own?", path, n, maxFile)
		}
		if strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))[len("../../"):]
		lines[dir] += n
		return checkFile(t, path, text, func() { documented[dir] = true })
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, n := range lines {
		limit := maxPackage
		if dir == "cmd/gateway" {
			limit = maxCommand
		}
		if n > limit {
			t.Errorf("%s has %d lines, of %d at most: which part of it is a package of its own?", dir, n, limit)
		}
		if top, _, _ := strings.Cut(dir, "/"); !slices.Contains(houses, top) {
			t.Errorf("%s: at the top are %v, and nothing else has packages: to which of them does it belong?", dir, houses)
		}
		if !documented[dir] {
			t.Errorf("%s: no package comment: what is it for, and what does it refuse to know?", dir)
		}
	}
	if len(lines) < 20 {
		t.Errorf("only %d packages were checked", len(lines))
	}
}

// checkFile checks the functions and the comments of a file, and calls documented
// if the package's comment is in it.
func checkFile(t *testing.T, path string, text []byte, documented func()) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if file.Doc != nil {
		documented()
	}
	undocumented := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		for _, c := range comments {
			if c != nil {
				return
			}
		}
		if name.IsExported() {
			t.Errorf("%s: %s has no comment", files.Position(name.Pos()), name)
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if n := files.Position(d.End()).Line - files.Position(d.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, of %d at most", files.Position(d.Pos()), d.Name, n, maxFunction)
			}
			if d.Recv == nil || ast.IsExported(receiver(d)) && !ofEverybody[d.Name.Name] {
				undocumented(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					undocumented(s.Name, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					undocumented(s.Names[0], d.Doc, s.Doc, s.Comment)
				}
			}
		}
	}
	return nil
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return name == ""
	})
	return name
}
