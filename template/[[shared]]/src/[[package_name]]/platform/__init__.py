"""Platform code, owned by the platform team and kept current by `copier update`: configuration, logging, warehouse."""
