async def first(feed):
    async for item in feed:
        return item
    return None
