"""What people see: server-rendered pages over a `Desk`. No SQL, no Kafka."""
