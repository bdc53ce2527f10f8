// Go's readings of a path: ServeMux, a plain handler, and a file server; and a real file server over a directory.
// Each of the first three answers with the resource that it resolved, byte for byte.
// Arguments: their three addresses, the fourth address, the directory.
package main

import (
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
)

// seen is a file system that holds nothing and remembers what it was asked for.
type seen struct{ name string }

func (s *seen) Open(name string) (http.File, error) {
	s.name = name
	return nil, fs.ErrNotExist
}

func path(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte(r.URL.Path))
}

func file(w http.ResponseWriter, r *http.Request) {
	asked := &seen{}
	http.FileServer(asked).ServeHTTP(httptest.NewRecorder(), r)
	if asked.name == "" {
		http.Error(w, "a redirect", http.StatusNotFound)
		return
	}
	// It cleans the slash at the end away and looks at the URL for it afterwards.
	if strings.HasSuffix(r.URL.Path, "/") && asked.name != "/" {
		asked.name += "/"
	}
	w.Write([]byte(asked.name))
}

func main() {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/", "/open", "/open/", "/api/"} {
		mux.HandleFunc(pattern, path)
	}
	handlers := []http.Handler{mux, http.HandlerFunc(path), http.HandlerFunc(file), http.FileServer(http.Dir(os.Args[5]))}
	failed := make(chan error)
	for i, handler := range handlers {
		go func(address string, handler http.Handler) { failed <- http.ListenAndServe(address, handler) }(os.Args[i+1], handler)
	}
	log.Fatal(<-failed)
}
