// Bifrost's own engine (module core) behind a small HTTP front.
//
// This is NOT the Bifrost gateway: its HTTP program (module transports) cannot be had, see ../MEASURED.md. Everything
// inside a JSON body, every call to a provider, every retry and fallback is Bifrost's code. Routes, status lines,
// headers and the framing of streams are ours, after what the gateway's documentation says of them.
//
//	POST /v1/completions, /v1/chat/completions, /v1/responses, /v1/embeddings
//	POST /openai/openai/deployments/{id}/completions, .../chat/completions, .../responses, .../embeddings
//	the routes of other SDKs, in sdks.go
//	GET  /health                     {"status":"ok","engine":"1.4.0","gateway":false}
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/bytedance/sonic"
	bifrost "github.com/maximhq/bifrost/core"
	"github.com/maximhq/bifrost/core/schemas"
)

// allowRaw is what client.allow_per_request_raw_override sets from 1.5 on; 1.4 asks for no permission and has no name for it.
const allowRaw = schemas.BifrostContextKey("bifrost-allow-per-request-raw-override")

// account answers the engine's questions about providers from the "providers" part of a gateway's config.json.
type account struct {
	keys    map[schemas.ModelProvider][]schemas.Key
	configs map[schemas.ModelProvider]*schemas.ProviderConfig
}

func (a account) GetConfiguredProviders() ([]schemas.ModelProvider, error) {
	names := make([]schemas.ModelProvider, 0, len(a.configs))
	for name := range a.configs {
		names = append(names, name)
	}
	return names, nil
}

func (a account) GetKeysForProvider(_ context.Context, name schemas.ModelProvider) ([]schemas.Key, error) {
	return a.keys[name], nil
}

func (a account) GetConfigForProvider(name schemas.ModelProvider) (*schemas.ProviderConfig, error) {
	if config, ok := a.configs[name]; ok {
		return config, nil
	}
	return nil, fmt.Errorf("provider %s is not configured", name)
}

func readAccount(path string) (account, error) {
	a := account{map[schemas.ModelProvider][]schemas.Key{}, map[schemas.ModelProvider]*schemas.ProviderConfig{}}
	text, err := os.ReadFile(path)
	if err != nil {
		return a, err
	}
	var file struct {
		Providers map[schemas.ModelProvider]json.RawMessage `json:"providers"`
	}
	if err = json.Unmarshal(text, &file); err != nil {
		return a, err
	}
	for name, raw := range file.Providers {
		var keys struct {
			Keys []schemas.Key `json:"keys"`
		}
		config := &schemas.ProviderConfig{}
		if err = sonic.Unmarshal(raw, &keys); err == nil {
			err = sonic.Unmarshal(raw, config)
		}
		if err != nil {
			return a, fmt.Errorf("provider %s: %w", name, err)
		}
		for i := range keys.Keys {
			keys.Keys[i].ID = keys.Keys[i].Name // the gateway's store invents ids
		}
		if config.CustomProviderConfig != nil {
			config.CustomProviderConfig.CustomProviderKey = string(name)
		}
		config.CheckAndSetDefaults()
		a.keys[name], a.configs[name] = keys.Keys, config
	}
	return a, nil
}

type front struct {
	engine *bifrost.Bifrost
	max    int64
}

// request is what both routes read of a body; the engine's parameter types read the rest of the same body.
type request struct {
	Model     string                       `json:"model"`
	Stream    bool                         `json:"stream"`
	Fallbacks []string                     `json:"fallbacks"`
	Prompt    *schemas.TextCompletionInput `json:"prompt"`
	Messages  []schemas.ChatMessage        `json:"messages"`
	Input     json.RawMessage              `json:"input"`
}

// items is the input of a call of the Responses API: one text is one message of the user's.
func (q request) items() ([]schemas.ResponsesMessage, error) {
	var text string
	if sonic.Unmarshal(q.Input, &text) == nil {
		role := schemas.ResponsesInputMessageRoleUser
		return []schemas.ResponsesMessage{{Role: &role, Content: &schemas.ResponsesMessageContent{ContentStr: &text}}}, nil
	}
	var list []schemas.ResponsesMessage
	return list, sonic.Unmarshal(q.Input, &list)
}

func (f front) serve(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		native := strings.HasPrefix(r.URL.Path, "/v1/")
		body, err := io.ReadAll(io.LimitReader(r.Body, f.max))
		var q request
		if err == nil {
			err = sonic.Unmarshal(body, &q)
		}
		var text schemas.TextCompletionParameters
		var talk schemas.ChatParameters
		var reply schemas.ResponsesParameters
		var embed schemas.EmbeddingParameters
		var items []schemas.ResponsesMessage
		var texts *schemas.EmbeddingInput
		if err == nil {
			switch kind {
			case "text":
				err = sonic.Unmarshal(body, &text)
			case "chat":
				err = sonic.Unmarshal(body, &talk)
			case "responses":
				if err = sonic.Unmarshal(body, &reply); err == nil {
					items, err = q.items()
				}
			case "embedding":
				if err = sonic.Unmarshal(body, &embed); err == nil {
					err = sonic.Unmarshal(q.Input, &texts)
				}
			}
		}
		if err != nil {
			status := http.StatusBadRequest
			fail(w, &schemas.BifrostError{StatusCode: &status, Error: &schemas.ErrorField{Message: "Invalid request payload: " + err.Error()}})
			return
		}
		fallbackProvider := schemas.ModelProvider("")
		if id := r.PathValue("id"); id != "" {
			q.Model, fallbackProvider = "azure/"+id, "azure"
		}
		provider, model := schemas.ParseModelString(q.Model, "")
		var fallbacks []schemas.Fallback
		for _, entry := range q.Fallbacks {
			p, m := schemas.ParseModelString(entry, fallbackProvider)
			if p != "" { // the gateway drops an entry that names no provider
				fallbacks = append(fallbacks, schemas.Fallback{Provider: p, Model: m})
			}
		}
		parent, cancelParent := context.WithCancel(r.Context())
		defer cancelParent()
		ctx, cancel := schemas.NewBifrostContextWithCancel(parent)
		defer cancel()
		if native { // the other route takes no fields that it does not know
			text.ExtraParams, talk.ExtraParams = unknown(body, q, text), unknown(body, q, talk)
			reply.ExtraParams, embed.ExtraParams = unknown(body, q, reply), unknown(body, q, embed)
		}
		if r.Header.Get("x-bf-passthrough-extra-params") == "true" {
			ctx.SetValue(schemas.BifrostContextKeyPassthroughExtraParams, true)
		}
		if id := r.Header.Get("x-request-id"); id != "" {
			ctx.SetValue(schemas.BifrostContextKeyRequestID, id)
		}
		ctx.SetValue(allowRaw, true)
		if r.Header.Get("x-bf-send-back-raw-response") == "true" {
			ctx.SetValue(schemas.BifrostContextKeySendBackRawResponse, true)
		}
		if r.Header.Get("x-bf-send-back-raw-request") == "true" {
			ctx.SetValue(schemas.BifrostContextKeySendBackRawRequest, true)
		}
		var answer any
		var chunks chan *schemas.BifrostStreamChunk
		var failure *schemas.BifrostError
		switch kind {
		case "chat":
			ask := &schemas.BifrostChatRequest{Provider: provider, Model: model, Input: q.Messages, Params: &talk, Fallbacks: fallbacks}
			if q.Stream {
				chunks, failure = f.engine.ChatCompletionStreamRequest(ctx, ask)
			} else {
				answer, failure = f.engine.ChatCompletionRequest(ctx, ask)
			}
		case "text":
			ask := &schemas.BifrostTextCompletionRequest{Provider: provider, Model: model, Input: q.Prompt, Params: &text, Fallbacks: fallbacks}
			if q.Stream {
				chunks, failure = f.engine.TextCompletionStreamRequest(ctx, ask)
			} else {
				answer, failure = f.engine.TextCompletionRequest(ctx, ask)
			}
		case "responses":
			ask := &schemas.BifrostResponsesRequest{Provider: provider, Model: model, Input: items, Params: &reply, Fallbacks: fallbacks}
			if q.Stream {
				chunks, failure = f.engine.ResponsesStreamRequest(ctx, ask)
			} else {
				var whole *schemas.BifrostResponsesResponse
				if whole, failure = f.engine.ResponsesRequest(ctx, ask); !native {
					whole = whole.WithDefaults() // as the gateway's own route does
				}
				answer = whole
			}
		case "embedding":
			ask := &schemas.BifrostEmbeddingRequest{Provider: provider, Model: model, Input: texts, Params: &embed, Fallbacks: fallbacks}
			answer, failure = f.engine.EmbeddingRequest(ctx, ask)
		}
		switch {
		case failure != nil:
			fail(w, failure)
		case kind == "responses" && q.Stream:
			events(w, chunks, native)
		case q.Stream:
			stream(w, chunks, native)
		default:
			send(w, http.StatusOK, answer)
		}
	}
}

// unknown is what a body says that none of the given structs has a field for.
func unknown(body []byte, structs ...any) map[string]any {
	rest := map[string]any{}
	if sonic.Unmarshal(body, &rest) != nil {
		return nil
	}
	for _, each := range structs {
		for i, t := 0, reflect.TypeOf(each); i < t.NumField(); i++ {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			delete(rest, name)
		}
	}
	return rest
}

func send(w http.ResponseWriter, status int, answer any) {
	body, err := sonic.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func fail(w http.ResponseWriter, failure *schemas.BifrostError) {
	send(w, status(failure), failure)
}

func status(failure *schemas.BifrostError) int {
	if failure.StatusCode != nil {
		return *failure.StatusCode
	} else if !failure.IsBifrostError {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// stream writes one data line for each chunk. After an error the native route still says [DONE], the other one does not.
func stream(w http.ResponseWriter, chunks chan *schemas.BifrostStreamChunk, native bool) {
	w.Header().Set("content-type", "text/event-stream")
	w.Header().Set("cache-control", "no-cache")
	flush := http.NewResponseController(w)
	failed := false
	for chunk := range chunks {
		body, err := sonic.Marshal(chunk)
		if err != nil {
			continue
		}
		failed = failed || chunk.BifrostError != nil
		fmt.Fprintf(w, "data: %s\n\n", body)
		flush.Flush()
	}
	if native || !failed {
		fmt.Fprint(w, "data: [DONE]\n\n")
	}
}

// events writes the stream of a call of the Responses API: each event is named, and no [DONE] ends it.
func events(w http.ResponseWriter, chunks chan *schemas.BifrostStreamChunk, native bool) {
	w.Header().Set("content-type", "text/event-stream")
	w.Header().Set("cache-control", "no-cache")
	flush := http.NewResponseController(w)
	for chunk := range chunks {
		var content any = chunk
		name := "error"
		if event := chunk.BifrostResponsesStreamResponse; event != nil {
			name = string(event.Type)
			if !native { // as the gateway's own route does
				if event = event.WithDefaults(); event == nil {
					continue
				}
				content = event
			}
		}
		body, err := sonic.Marshal(content)
		if err != nil {
			continue
		}
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, body)
		flush.Flush()
	}
}

func coreVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/maximhq/bifrost/core" {
				return strings.TrimPrefix(dep.Version, "v")
			}
		}
	}
	return "unknown"
}

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "port; 0 takes a free one")
	config := flag.String("config", "config.json", "a gateway's config.json, of which \"providers\" is read")
	level := flag.String("log-level", "error", "debug, info, warn or error")
	version := flag.Bool("version", false, "say the engine's version and stop")
	flag.Parse()
	if *version {
		fmt.Println(coreVersion())
		return
	}
	a, err := readAccount(*config)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	engine, err := bifrost.Init(ctx, schemas.BifrostConfig{Account: a, Logger: bifrost.NewDefaultLogger(schemas.LogLevel(*level))})
	if err != nil {
		log.Fatal(err)
	}
	f := front{engine, 64 << 20}
	mux := http.NewServeMux()
	for _, prefix := range []string{"/v1", "/openai/openai/deployments/{id}"} {
		mux.HandleFunc("POST "+prefix+"/completions", f.serve("text"))
		mux.HandleFunc("POST "+prefix+"/chat/completions", f.serve("chat"))
		mux.HandleFunc("POST "+prefix+"/responses", f.serve("responses"))
		mux.HandleFunc("POST "+prefix+"/embeddings", f.serve("embedding"))
	}
	mux.HandleFunc("POST /anthropic/v1/messages", f.sdk(forAnthropic))
	mux.HandleFunc("POST /genai/v1beta/models/{rest...}", f.sdk(forGenAI))
	mux.HandleFunc("POST /bedrock/model/{rest...}", f.sdk(forBedrock))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusOK, map[string]any{"status": "ok", "engine": coreVersion(), "gateway": false})
	})
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", *host, *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: mux}
	go func() { <-ctx.Done(); server.Close() }()
	if err = server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	engine.Shutdown()
}
