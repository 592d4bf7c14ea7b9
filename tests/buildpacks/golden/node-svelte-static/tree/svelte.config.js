import adapter from '@sveltejs/adapter-static';
export default { kit: { adapter: adapter({ pages: 'site', fallback: '200.html' }) } };
