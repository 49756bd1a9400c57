/** A browser that looks at pages, for tests of several modules. */
package io.github.dl4jlora.browser;
