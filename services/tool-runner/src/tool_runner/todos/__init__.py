"""Todos: rules, storage, the planner's service and the tools that the model sees."""
