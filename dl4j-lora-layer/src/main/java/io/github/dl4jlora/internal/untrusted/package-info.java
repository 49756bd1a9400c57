/**
 * What reads strangers' bytes.
 */
package io.github.dl4jlora.internal.untrusted;
