// Google's own fake of Pub/Sub (cloud.google.com/go/pubsub/pstest) as a process, with a control port for what
// the protocol has not: letting time pass, and counting what waits.
//
// Prints one line, "PUBSUB_ADDRESS CONTROL_ADDRESS", and serves until standard input ends.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/pstest"
)

func main() {
	port := flag.Int("port", 0, "port of Pub/Sub; 0 for any")
	flag.Parse()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	books := &books{now: now, subscriptions: map[string]subscription{}}
	options := []pstest.ServerReactorOption{}
	for _, name := range []string{"CreateSubscription", "Acknowledge"} {
		options = append(options, pstest.ServerReactorOption{FuncName: name, Reactor: books})
	}
	server := pstest.NewServerWithAddress(fmt.Sprintf("127.0.0.1:%d", *port), options...)
	server.SetTimeNowFunc(now)

	mux := http.NewServeMux()
	mux.HandleFunc("/elapse", func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ahead.Add(int64(seconds * float64(time.Second)))
	})
	// Every message there ever was: topic, ordering key, how often handed out and acknowledged.
	mux.HandleFunc("/messages", func(w http.ResponseWriter, _ *http.Request) {
		type message struct {
			ID          string            `json:"id"`
			Topic       string            `json:"topic"`
			OrderingKey string            `json:"orderingKey"`
			Data        []byte            `json:"data"`
			Attributes  map[string]string `json:"attributes"`
			Deliveries  int               `json:"deliveries"`
			Acks        int               `json:"acks"`
		}
		found := []message{}
		for _, each := range server.Messages() {
			found = append(found, message{
				each.ID, each.Topic, each.OrderingKey, each.Data, each.Attributes, each.Deliveries, each.Acks,
			})
		}
		_ = json.NewEncoder(w).Encode(found)
	})
	mux.HandleFunc("/backlog", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(books.backlog(server.Messages()))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { _ = http.Serve(listener, mux) }()
	fmt.Println(server.Addr, listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// books counts what waits per subscription, which the server itself does not tell.
type books struct {
	now           func() time.Time
	mu            sync.Mutex
	subscriptions map[string]subscription
}

type subscription struct {
	topic, filter string
	from          time.Time
	acked         map[string]bool
}

type waiting struct {
	Waiting  int      `json:"waiting"`
	OldestAt *float64 `json:"oldestAt"`
	At       float64  `json:"at"`
}

// React looks at a call before the server handles it.
func (b *books) React(call interface{}) (bool, interface{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch call := call.(type) {
	case *pb.Subscription:
		if old, there := b.subscriptions[call.Name]; !there || old.topic != call.Topic {
			b.subscriptions[call.Name] = subscription{call.Topic, call.Filter, b.now(), map[string]bool{}}
		}
	case *pb.AcknowledgeRequest:
		for _, id := range call.AckIds {
			if each, there := b.subscriptions[call.Subscription]; there {
				each.acked[id] = true
			}
		}
	}
	return false, nil, nil
}

func (b *books) backlog(messages []*pstest.Message) map[string]waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string]waiting{}
	for name, each := range b.subscriptions {
		state := waiting{At: seconds(b.now())}
		for _, message := range messages {
			recipient := message.Attributes["recipient"]
			if message.Topic != each.topic || message.PublishTime.Before(each.from) || each.acked[message.ID] {
				continue
			}
			if each.filter != "" && recipient != "" && !strings.Contains(each.filter, `"`+recipient+`"`) {
				continue
			}
			state.Waiting++
			if at := seconds(message.PublishTime); state.OldestAt == nil || at < *state.OldestAt {
				state.OldestAt = &at
			}
		}
		found[name] = state
	}
	return found
}

func seconds(at time.Time) float64 { return float64(at.UnixNano()) / 1e9 }
