"""What this process has leased: how it asks for tasks, keeps their leases, and gives them back."""
