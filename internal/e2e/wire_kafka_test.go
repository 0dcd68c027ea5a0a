package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaWire carries Kafka's protocol to a cluster of one broker. A step is a request, by its name in the protocol: "EndTxn".
// Answers that name the broker's address get the proxy's in its place.
func kafkaWire(t testing.TB, g *gate, broker string) *tcpProxy {
	t.Helper()
	var p *tcpProxy
	p = newTCPProxy(t, broker, func(client, server net.Conn) {
		var mu sync.Mutex
		pending := map[int32]kafkaRequest{} // by correlation id
		bothWays(client, server, func() error {
			for {
				frame, err := kafkaFrame(client)
				if err != nil {
					return err
				}
				if len(frame) < 10 {
					return errors.New("not a request of Kafka's protocol")
				}
				r := kafkaRequest{
					key: int16(binary.BigEndian.Uint16(frame)), version: int16(binary.BigEndian.Uint16(frame[2:])),
				}
				r.trap = g.asked(kafkaStep(r, frame))
				if !r.trap.forward() {
					return errDropped
				}
				mu.Lock()
				pending[int32(binary.BigEndian.Uint32(frame[4:]))] = r
				mu.Unlock()
				if err := writeKafkaFrame(server, frame); err != nil {
					return err
				}
			}
		}, func() error {
			for {
				frame, err := kafkaFrame(server)
				if err != nil {
					return err
				}
				id := int32(binary.BigEndian.Uint32(frame))
				mu.Lock()
				r := pending[id]
				delete(pending, id)
				mu.Unlock()
				if !r.trap.answer() {
					return errDropped
				}
				if frame, err = r.readdress(frame, p.addr); err != nil {
					t.Errorf("proxy to Kafka: %v", err)
					return err
				}
				if err := writeKafkaFrame(client, frame); err != nil {
					return err
				}
			}
		})
	})
	return p
}

type kafkaRequest struct {
	key, version int16
	trap         *trap
}

// kafkaStep is the request's name; an EndTxn that aborts is a step of its own.
func kafkaStep(r kafkaRequest, frame []byte) string {
	name := kmsg.NameForKey(r.key)
	if e, ok := kmsg.RequestForKey(r.key).(*kmsg.EndTxnRequest); ok {
		e.SetVersion(r.version)
		at := 10 + max(0, int(int16(binary.BigEndian.Uint16(frame[8:])))) // behind the client id
		if e.IsFlexible() {
			at++ // no tags
		}
		if e.ReadFrom(frame[at:]) == nil && !e.Commit {
			return name + " abort"
		}
	}
	return name
}

// readdress puts addr where the answer names the broker's address.
func (r kafkaRequest) readdress(frame []byte, addr string) ([]byte, error) {
	answer := kmsg.ResponseForKey(r.key)
	switch answer.(type) {
	case *kmsg.MetadataResponse, *kmsg.FindCoordinatorResponse, *kmsg.DescribeClusterResponse:
	default:
		return frame, nil
	}
	answer.SetVersion(r.version)
	head := 4
	if answer.IsFlexible() {
		head++ // no tags
	}
	if err := answer.ReadFrom(frame[head:]); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", kmsg.NameForKey(r.key), err)
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, err
	}
	port := int32(n)
	switch a := answer.(type) {
	case *kmsg.MetadataResponse:
		for i := range a.Brokers {
			a.Brokers[i].Host, a.Brokers[i].Port = host, port
		}
	case *kmsg.DescribeClusterResponse:
		for i := range a.Brokers {
			a.Brokers[i].Host, a.Brokers[i].Port = host, port
		}
	case *kmsg.FindCoordinatorResponse:
		if a.Host != "" {
			a.Host, a.Port = host, port
		}
		for i := range a.Coordinators {
			if a.Coordinators[i].Host != "" {
				a.Coordinators[i].Host, a.Coordinators[i].Port = host, port
			}
		}
	}
	return answer.AppendTo(frame[:head:head]), nil
}

// kafkaFrame reads one message without its size.
func kafkaFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 100<<20 {
		return nil, errors.New("not a frame of Kafka's protocol")
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(from, frame)
	return frame, err
}

func writeKafkaFrame(to io.Writer, frame []byte) error {
	return write(to, binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame)
}
