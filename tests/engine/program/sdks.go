// The routes of three other SDKs. The gateway serves them with the converters of its engine, and those are used here;
// which converter belongs to which route, and how streams are framed, is after transports/bifrost-http/integrations.
//
//	POST /anthropic/v1/messages
//	POST /genai/v1beta/models/{model}:generateContent, :streamGenerateContent
//	POST /bedrock/model/{model}/converse, /converse-stream
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/bytedance/sonic"
	"github.com/maximhq/bifrost/core/providers/anthropic"
	"github.com/maximhq/bifrost/core/providers/bedrock"
	"github.com/maximhq/bifrost/core/providers/gemini"
	"github.com/maximhq/bifrost/core/schemas"
)

// integration is one SDK's way of asking and of being answered. A stream of one request has its own.
type integration struct {
	name   string
	kind   string // content type of a stream
	ask    func(ctx *schemas.BifrostContext, body []byte) (ask *schemas.BifrostResponsesRequest, stream bool, err error)
	answer func(ctx *schemas.BifrostContext, answer *schemas.BifrostResponsesResponse) (any, error)
	event  func(ctx *schemas.BifrostContext, event *schemas.BifrostResponsesStreamResponse) []byte
	fail   func(failure *schemas.BifrostError) any
	broke  func(failure *schemas.BifrostError) []byte
}

func (f front) sdk(speaker func(r *http.Request) integration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to := speaker(r)
		parent, cancelParent := context.WithCancel(r.Context())
		defer cancelParent()
		ctx, cancel := schemas.NewBifrostContextWithCancel(parent)
		defer cancel()
		ctx.SetValue(schemas.BifrostContextKeyIntegrationType, to.name)
		body, err := io.ReadAll(io.LimitReader(r.Body, f.max))
		var ask *schemas.BifrostResponsesRequest
		var stream bool
		if err == nil {
			ask, stream, err = to.ask(ctx, body)
		}
		if err != nil {
			send(w, http.StatusBadRequest, to.fail(&schemas.BifrostError{Error: &schemas.ErrorField{Message: "Invalid JSON"}}))
			return
		}
		var answer any
		var failure *schemas.BifrostError
		var chunks chan *schemas.BifrostStreamChunk
		if stream {
			chunks, failure = f.engine.ResponsesStreamRequest(ctx, ask)
		} else {
			var whole *schemas.BifrostResponsesResponse
			if whole, failure = f.engine.ResponsesRequest(ctx, ask); failure == nil {
				answer, err = to.answer(ctx, whole)
			}
		}
		switch {
		case failure != nil:
			send(w, status(failure), to.fail(failure))
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		case stream:
			to.write(ctx, w, chunks)
		default:
			send(w, http.StatusOK, answer)
		}
	}
}

func (to integration) write(ctx *schemas.BifrostContext, w http.ResponseWriter, chunks chan *schemas.BifrostStreamChunk) {
	w.Header().Set("content-type", to.kind)
	w.Header().Set("cache-control", "no-cache")
	flush := http.NewResponseController(w)
	for chunk := range chunks {
		if chunk.BifrostError != nil {
			w.Write(to.broke(chunk.BifrostError))
			return
		}
		if chunk.BifrostResponsesStreamResponse != nil {
			w.Write(to.event(ctx, chunk.BifrostResponsesStreamResponse))
			flush.Flush()
		}
	}
}

func forAnthropic(*http.Request) integration {
	return integration{
		name: "anthropic",
		kind: "text/event-stream",
		ask: func(ctx *schemas.BifrostContext, body []byte) (*schemas.BifrostResponsesRequest, bool, error) {
			request := &anthropic.AnthropicMessageRequest{}
			if err := sonic.Unmarshal(body, request); err != nil {
				return nil, false, err
			}
			return request.ToBifrostResponsesRequest(ctx), request.Stream != nil && *request.Stream, nil
		},
		answer: func(ctx *schemas.BifrostContext, answer *schemas.BifrostResponsesResponse) (any, error) {
			return anthropic.ToAnthropicResponsesResponse(ctx, answer), nil
		},
		event: func(ctx *schemas.BifrostContext, event *schemas.BifrostResponsesStreamResponse) []byte {
			var out bytes.Buffer
			for _, each := range anthropic.ToAnthropicResponsesStreamResponse(ctx, event) {
				if body, err := sonic.Marshal(each); err == nil {
					fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", each.Type, body)
				}
			}
			return out.Bytes()
		},
		fail: func(failure *schemas.BifrostError) any { return anthropic.ToAnthropicChatCompletionError(failure) },
		broke: func(failure *schemas.BifrostError) []byte {
			return []byte(anthropic.ToAnthropicResponsesStreamError(failure))
		},
	}
}

func forGenAI(r *http.Request) integration {
	state := gemini.NewBifrostToGeminiStreamState()
	data := func(body any) []byte {
		text, _ := sonic.Marshal(body)
		return []byte("data: " + string(text) + "\n\n")
	}
	return integration{
		name: "genai",
		kind: "text/event-stream",
		ask: func(ctx *schemas.BifrostContext, body []byte) (*schemas.BifrostResponsesRequest, bool, error) {
			request := &gemini.GeminiGenerationRequest{}
			if err := sonic.Unmarshal(body, request); err != nil {
				return nil, false, err
			}
			place := strings.LastIndex(r.PathValue("rest"), ":")
			if place < 0 {
				return nil, false, fmt.Errorf("no method")
			}
			request.Model = r.PathValue("rest")[:place]
			request.Stream = r.PathValue("rest")[place:] == ":streamGenerateContent"
			return request.ToBifrostResponsesRequest(ctx), request.Stream, nil
		},
		answer: func(_ *schemas.BifrostContext, answer *schemas.BifrostResponsesResponse) (any, error) {
			return gemini.ToGeminiResponsesResponse(answer), nil
		},
		event: func(_ *schemas.BifrostContext, event *schemas.BifrostResponsesStreamResponse) []byte {
			if chunk := gemini.ToGeminiResponsesStreamResponse(event, state); chunk != nil {
				return data(chunk)
			}
			return nil
		},
		fail:  func(failure *schemas.BifrostError) any { return gemini.ToGeminiError(failure) },
		broke: func(failure *schemas.BifrostError) []byte { return data(gemini.ToGeminiError(failure)) },
	}
}

func forBedrock(r *http.Request) integration {
	return integration{
		name: "bedrock",
		kind: "application/vnd.amazon.eventstream",
		ask: func(ctx *schemas.BifrostContext, body []byte) (*schemas.BifrostResponsesRequest, bool, error) {
			request := &bedrock.BedrockConverseRequest{}
			if err := sonic.Unmarshal(body, request); err != nil {
				return nil, false, err
			}
			place := strings.LastIndex(r.PathValue("rest"), "/")
			if place < 0 {
				return nil, false, fmt.Errorf("no operation")
			}
			model, err := url.PathUnescape(r.PathValue("rest")[:place])
			if err != nil {
				return nil, false, err
			}
			request.ModelID, request.Stream = model, r.PathValue("rest")[place:] == "/converse-stream"
			ask, err := request.ToBifrostResponsesRequest(ctx)
			return ask, request.Stream, err
		},
		answer: func(_ *schemas.BifrostContext, answer *schemas.BifrostResponsesResponse) (any, error) {
			return bedrock.ToBedrockConverseResponse(answer)
		},
		event: func(_ *schemas.BifrostContext, event *schemas.BifrostResponsesStreamResponse) []byte {
			var out bytes.Buffer
			converted, err := bedrock.ToBedrockConverseStreamResponse(event)
			if err != nil || converted == nil {
				return nil
			}
			for _, each := range converted.ToEncodedEvents() {
				if body, err := sonic.Marshal(each.Payload); err == nil {
					awsMessage(&out, body, "event", ":event-type", each.EventType)
				}
			}
			return out.Bytes()
		},
		fail: func(failure *schemas.BifrostError) any { return bedrock.ToBedrockError(failure) },
		broke: func(failure *schemas.BifrostError) []byte {
			var out bytes.Buffer
			failed := bedrock.ToBedrockError(failure)
			body, _ := sonic.Marshal(map[string]string{"message": failed.Message})
			awsMessage(&out, body, "exception", ":exception-type", failed.Type)
			return out.Bytes()
		},
	}
}

func awsMessage(out io.Writer, body []byte, kind, name, value string) {
	eventstream.NewEncoder().Encode(out, eventstream.Message{Payload: body, Headers: eventstream.Headers{
		{Name: ":content-type", Value: eventstream.StringValue("application/json")},
		{Name: name, Value: eventstream.StringValue(value)},
		{Name: ":message-type", Value: eventstream.StringValue(kind)},
	}})
}
