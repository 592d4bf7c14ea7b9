export default { basePath: '/x', output: 'export' }
