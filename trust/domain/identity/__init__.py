"""Who a person is: their national identity, and whether they were registered before."""
