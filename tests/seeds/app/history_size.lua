local size = workflow.history_size()
