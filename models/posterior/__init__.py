"""MAP and NUTS on the marginalised mixture, and the PyMC model behind them."""
