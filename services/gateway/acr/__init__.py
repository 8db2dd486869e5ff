"""The image scanning of Alibaba Cloud Container Registry (API 2018-12-01), field for field."""
