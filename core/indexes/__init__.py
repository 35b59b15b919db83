"""Vector indexes behind one interface: exact, HNSW (RankScope), hnswlib, FAISS, Milvus."""
