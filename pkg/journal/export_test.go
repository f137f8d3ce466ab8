package journal

import "time"

// SetHeartbeat makes watchers hear from the server more often than a test would wait for.
func (s *Server) SetHeartbeat(d time.Duration) { s.heartbeat = d }
