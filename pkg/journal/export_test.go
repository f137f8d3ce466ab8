package journal

import "time"

// SetHeartbeat makes watchers hear from the server more often than a test would wait for.
func (s *Server) SetHeartbeat(d time.Duration) { s.heartbeat = d }

// SetStall makes the server lose patience with a watcher sooner than a test would wait for.
func (s *Server) SetStall(d time.Duration) { s.stall = d }
