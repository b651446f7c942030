//! What the machine says back to a worker or planner: one template for each situation.
