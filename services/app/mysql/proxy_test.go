package mysql

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// proxy sits between a DB and the server, and can make the server unreachable.
type proxy struct {
	listener net.Listener
	server   string

	mu        sync.Mutex
	conns     map[net.Conn]bool
	away      bool
	loseAfter []byte // after this has been sent to the server, its answer is lost, a single time
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		p.setAway(true)
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// setAway(true) cuts all connections, including new ones; setAway(false) lets connections through again.
func (p *proxy) setAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
	if away {
		for conn := range p.conns {
			conn.Close()
		}
	}
}

// loseAnswerTo makes the proxy lose the answer to the next statement with that beginning: it cuts the connection after
// the server has answered.
func (p *proxy) loseAnswerTo(beginning string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const comQuery = "\x03" // precedes the text (MySQL's client/server protocol); other statements contain READ-COMMITTED
	p.loseAfter = []byte(comQuery + beginning)
}

func (p *proxy) lost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loseAfter == nil
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.away {
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, client)
		delete(p.conns, server)
		p.mu.Unlock()
	}()

	lose := make(chan struct{})
	go func() { // the server's answers
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-lose:
				return // the server has answered; the client never learns of it
			default:
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.loseAfter != nil && bytes.Contains(buffer[:n], p.loseAfter) {
			p.loseAfter = nil
			close(lose)
		}
		p.mu.Unlock()
		if _, err := io.Copy(server, bytes.NewReader(buffer[:n])); err != nil {
			return
		}
	}
}
